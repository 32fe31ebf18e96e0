//! Plots as SVG. They have a white ground, as a page may be dark, and letters of a size that can be read.

use std::ops::Range;

use anyhow::{Result, anyhow};
use plotters::coord::Shift;
use plotters::coord::ranged1d::SegmentValue;
use plotters::prelude::*;

use super::findings::{Comparison, Findings, LIKE_STOCK};
use super::model::{Benchmark, Series, Side};
use super::stats::{Spread, median};

/// Of all pictures.
const WIDTH: u32 = 900;
/// Pixels of a row, and of what is above and below the rows.
const ROW: u32 = 30;
const FRAME: u32 = 170;
const LABELS: u32 = 260;
const FONT: (&str, u32) = ("sans-serif", 14);
const TITLE: (&str, u32) = ("sans-serif", 18);
/// Colours that everybody can tell apart.
pub const BLUE: RGBColor = RGBColor(0, 114, 178);
pub const ORANGE: RGBColor = RGBColor(213, 94, 0);
pub const GREEN: RGBColor = RGBColor(0, 158, 115);
/// The costs that are drawn; what lies outside is drawn at the edge.
const COSTS: Range<f64> = 0.5..2.0;
const GREY: RGBColor = RGBColor(225, 225, 225);

/// A picture and the name of its file.
#[derive(Clone, Debug)]
pub struct Plot {
    pub name: String,
    pub svg: String,
}

pub fn names(plots: &[Plot]) -> Vec<String> {
    plots.iter().map(|plot| plot.name.clone()).collect()
}

/// Something to put into a row: where numbers lie, and in which colour.
#[derive(Clone, Debug)]
pub struct Mark {
    pub low: f64,
    pub middle: f64,
    pub high: f64,
    pub colour: RGBColor,
}

/// A name and its marks, drawn above each other.
pub type Row = (String, Vec<Mark>);

/// What stands around the rows.
#[derive(Clone, Debug)]
pub struct Axis<'a> {
    pub title: &'a str,
    pub label: &'a str,
    pub range: Range<f64>,
    /// Shaded: what counts as good.
    pub good: Option<Range<f64>>,
    pub legend: Vec<(String, RGBColor)>,
}

/// The plots of a benchmark of kernels, as far as there is something to draw.
pub fn of_kernels(run: &Benchmark, findings: &Findings) -> Result<Vec<Plot>> {
    let plots = [costs(run, findings)?, freezing(run, findings)?, many(run)?];
    Ok(plots.into_iter().flatten().collect())
}

fn name(series: &Series) -> String {
    format!("{series}, {}", series.filesystem)
}

/// What one kernel costs where the other is 1.
fn costs(run: &Benchmark, findings: &Findings) -> Result<Option<Plot>> {
    let all = findings.kernels.iter().chain(&findings.pending);
    let row = |it: &Comparison| {
        let inside = |cost: f64| cost.clamp(COSTS.start, COSTS.end);
        let mark = Mark {
            low: inside(it.cost.low),
            middle: inside(it.cost.median),
            high: inside(it.cost.high),
            colour: BLUE,
        };
        (name(&it.series), vec![mark])
    };
    let rows: Vec<Row> = all.map(row).collect();
    let (base, other) = (run.side_name(Side::Base), run.side_name(Side::Other));
    let axis = Axis {
        title: &format!("Cost of {other} where {base} is 1"),
        label: "median of the rounds, with its 95 % interval; shaded: within 2 %",
        range: around(&rows, 0.95..1.05, 1.0),
        good: Some(1.0 / LIKE_STOCK..LIKE_STOCK),
        legend: Vec::new(),
    };
    of_rows("costs.svg", &rows, &axis)
}

/// How long freezing and thawing takes, in both kernels.
fn freezing(run: &Benchmark, findings: &Findings) -> Result<Option<Plot>> {
    let all = findings.kernels.iter();
    let concerned = all.filter(|it| it.series.measurement.starts_with("freeze_"));
    let row = |it: &Comparison| {
        let marks = [mark(&it.base, 1e6, BLUE), mark(&it.other, 1e6, ORANGE)];
        (name(&it.series), marks.to_vec())
    };
    let rows: Vec<Row> = concerned.map(row).collect();
    let sides = [(Side::Base, BLUE), (Side::Other, ORANGE)];
    let axis = Axis {
        title: "FIFREEZE and FITHAW",
        label: "milliseconds: median and quartiles",
        range: around(&rows, 0.1..1.0, 1.2),
        good: None,
        legend: sides
            .map(|(side, colour)| (run.side_name(side), colour))
            .to_vec(),
    };
    of_rows("freezing.svg", &rows, &axis)
}

/// Median and quartiles, in units of `unit`.
pub fn mark(spread: &Spread, unit: f64, colour: RGBColor) -> Mark {
    Mark {
        low: spread.low / unit,
        middle: spread.median / unit,
        high: spread.high / unit,
        colour,
    }
}

/// A range that shows all rows, and at least this, with `room` times as much on either side.
pub fn around(rows: &[Row], least: Range<f64>, room: f64) -> Range<f64> {
    let marks = || rows.iter().flat_map(|(_, marks)| marks);
    let low = marks().map(|mark| mark.low).fold(least.start, f64::min);
    let high = marks().map(|mark| mark.high).fold(least.end, f64::max);
    low / room..high * room
}

/// Rows along a logarithmic axis; none if there is no row.
pub fn of_rows(name: &str, rows: &[Row], axis: &Axis<'_>) -> Result<Option<Plot>> {
    if rows.is_empty() {
        return Ok(None);
    }
    let height = FRAME + ROW * u32::try_from(rows.len())?;
    picture(name, height, |root| draw_rows(root, rows, axis)).map(Some)
}

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

/// A white picture with something drawn on it.
fn picture(name: &str, height: u32, draw: impl FnOnce(&Area<'_>) -> Result<()>) -> Result<Plot> {
    let mut svg = String::new();
    {
        let root = SVGBackend::with_string(&mut svg, (WIDTH, height)).into_drawing_area();
        root.fill(&WHITE).map_err(failed)?;
        draw(&root)?;
        root.present().map_err(failed)?;
    }
    Ok(Plot {
        name: name.into(),
        svg,
    })
}

fn failed(error: impl std::fmt::Display) -> anyhow::Error {
    anyhow!("failed to draw a plot: {error}")
}

fn draw_rows(root: &Area<'_>, rows: &[Row], axis: &Axis<'_>) -> Result<()> {
    let count = i32::try_from(rows.len())?;
    let mut chart = ChartBuilder::on(root)
        .caption(axis.title, TITLE)
        .margin(15)
        .margin_top(above(&axis.legend))
        .x_label_area_size(50)
        .y_label_area_size(LABELS)
        .build_cartesian_2d(axis.range.clone().log_scale(), (0..count).into_segmented())
        .map_err(failed)?;
    let row_name = |place: &SegmentValue<i32>| match place {
        SegmentValue::CenterOf(number) => {
            of_row(rows, *number).map_or(String::new(), |(name, _)| name.clone())
        }
        _ => String::new(),
    };
    let whole = |x: f64, at: i32| (x, SegmentValue::Exact(at));
    if let Some(good) = &axis.good {
        let corners = [whole(good.start, 0), whole(good.end, count)];
        chart
            .draw_series([Rectangle::new(corners, GREY.filled())])
            .map_err(failed)?;
    }
    chart
        .configure_mesh()
        .disable_y_mesh()
        .light_line_style(WHITE.mix(0.0))
        .y_labels(rows.len() + 1)
        .y_label_formatter(&row_name)
        .x_desc(axis.label)
        .x_label_formatter(&|x| format!("{x}", x = (x * 1e4).round() / 1e4))
        .label_style(FONT)
        .axis_desc_style(FONT)
        .draw()
        .map_err(failed)?;
    for number in 0..count {
        let (_, marks) = of_row(rows, number).ok_or_else(|| anyhow!("no row {number}"))?;
        for (mark, shift) in marks.iter().zip(shifts(marks.len())) {
            let place = |x| chart.backend_coord(&(x, SegmentValue::CenterOf(number)));
            draw_mark(
                root,
                [mark.low, mark.middle, mark.high].map(place),
                shift,
                mark.colour,
            )?;
        }
    }
    draw_legend(root, &axis.legend)
}

/// Pixels by which the marks of a row are moved, lest they cover each other.
fn shifts(count: usize) -> impl Iterator<Item = i32> {
    const STEP: i32 = 8;
    let count = i32::try_from(count).unwrap_or(0);
    (0..count).map(move |number| number * STEP - (count - 1) * STEP / 2)
}

fn draw_mark(
    root: &Area<'_>,
    [low, middle, high]: [(i32, i32); 3],
    shift: i32,
    colour: RGBColor,
) -> Result<()> {
    let moved = |(x, y)| (x, y + shift);
    let line = PathElement::new([moved(low), moved(high)], colour.stroke_width(3));
    root.draw(&line).map_err(failed)?;
    let dot = Circle::new(moved(middle), 4, colour.filled());
    root.draw(&dot).map_err(failed)
}

/// The first row is on top.
fn of_row(rows: &[Row], number: i32) -> Option<&Row> {
    rows.iter().rev().nth(usize::try_from(number).ok()?)
}

/// Pixels above a plot, for its legend.
fn above(legend: &[(String, RGBColor)]) -> u32 {
    15 + 18 * u32::try_from(legend.len()).unwrap_or(0)
}

/// Above the plot, at the left.
fn draw_legend(root: &Area<'_>, legend: &[(String, RGBColor)]) -> Result<()> {
    for ((name, colour), y) in legend.iter().zip((16..).step_by(18)) {
        root.draw(&Circle::new((20, y + 6), 5, colour.filled()))
            .map_err(failed)?;
        root.draw(&Text::new(name.clone(), (32, y), FONT))
            .map_err(failed)?;
    }
    Ok(())
}

/// What it takes to set and to meet many deadlines; none if there were none.
fn many(run: &Benchmark) -> Result<Option<Plot>> {
    let lines = [
        ("to set all deadlines", by_count(run, "set "), BLUE),
        (
            "from the last deadline to the last thaw",
            by_count(run, "meet "),
            ORANGE,
        ),
    ];
    let points = || lines.iter().flat_map(|(_, points, _)| points);
    if points().count() == 0 {
        return Ok(None);
    }
    let (counts, times) = (points().map(|point| point.0), points().map(|point| point.1));
    let (least, most) = (times.clone().fold(1.0, f64::min), times.fold(1.0, f64::max));
    let ranges = (
        (0.8..counts.fold(10.0, f64::max) * 1.3).log_scale(),
        (least.max(1e-3) * 0.7..most * 1.5).log_scale(),
    );
    let legend: Vec<_> = lines
        .iter()
        .map(|(name, _, colour)| ((*name).to_owned(), *colour))
        .collect();
    let draw = |root: &Area<'_>| {
        let mut chart = ChartBuilder::on(root)
            .caption("Many filesystems with a deadline at once", TITLE)
            .margin(15)
            .margin_top(above(&legend))
            .x_label_area_size(50)
            .y_label_area_size(80)
            .build_cartesian_2d(ranges.0, ranges.1)
            .map_err(failed)?;
        chart
            .configure_mesh()
            .light_line_style(WHITE.mix(0.0))
            .x_desc("filesystems")
            .y_desc("milliseconds")
            .label_style(FONT)
            .axis_desc_style(FONT)
            .draw()
            .map_err(failed)?;
        for (_, points, colour) in &lines {
            let line = LineSeries::new(points.iter().copied(), colour.stroke_width(2));
            chart.draw_series(line.point_size(3)).map_err(failed)?;
        }
        draw_legend(root, &legend)
    };
    picture("many.svg", 420, draw).map(Some)
}

/// The medians in milliseconds of the parts that are named by a count.
fn by_count(run: &Benchmark, prefix: &str) -> Vec<(f64, f64)> {
    let point = |series: Series| {
        let count = series.part.strip_prefix(prefix)?.parse().ok()?;
        let values = run.all_numbers(Side::Other, &series);
        Some((count, median(&values)? / 1e6))
    };
    let all = run.series().into_iter();
    let concerned = all.filter(|it| it.measurement == "deadlines_many");
    let mut points: Vec<(f64, f64)> = concerned.filter_map(point).collect();
    points.sort_by(|a, b| a.0.total_cmp(&b.0));
    points
}

#[cfg(test)]
mod tests {
    use quick_xml::Reader;
    use quick_xml::events::Event;

    use super::super::model::samples;
    use super::*;

    /// Its texts, if it is well-formed.
    fn texts(svg: &str) -> Vec<String> {
        let mut reader = Reader::from_str(svg);
        reader.config_mut().trim_text(true);
        let (mut texts, mut depth) = (Vec::new(), 0);
        loop {
            match reader.read_event().expect("well-formed") {
                Event::Start(_) => depth += 1,
                Event::End(_) => depth -= 1,
                Event::Text(text) => texts.push(text.decode().unwrap().into_owned()),
                Event::Eof => break,
                _ => {}
            }
        }
        assert_eq!(depth, 0);
        texts
    }

    #[test]
    fn plots_are_well_formed_and_named() {
        let run = samples::run(1.05);
        let plots = of_kernels(&run, &Findings::of(&run)).unwrap();
        let names: Vec<_> = plots.iter().map(|plot| plot.name.as_str()).collect();
        assert_eq!(names, ["costs.svg", "freezing.svg", "many.svg"]);
        let costs = texts(&plots[0].svg);
        for wanted in [
            "Cost of generic-freeze where stock is 1",
            "write_cached, ext3",
            "freeze_idle: thaw, xfs",
        ] {
            assert!(
                costs.iter().any(|text| text == wanted),
                "{wanted} is not in {costs:?}"
            );
        }
        for plot in &plots {
            assert!(!texts(&plot.svg).is_empty());
            assert!(!plot.svg.contains("NaN"), "{}", plot.name);
        }
    }

    #[test]
    fn there_is_no_plot_of_nothing() {
        let mut run = samples::run(1.0);
        run.guests.clear();
        let plots = of_kernels(&run, &Findings::of(&run)).unwrap();
        assert!(plots.is_empty(), "{plots:?}");
    }
}
