//! What the patches change, by the newest runs: without them and with exactly these, on exactly this source.

use std::fmt::Write as _;

use camino::Utf8Path;
use harness::wire::Filesystem;
use jiff::Timestamp;

use super::{WIDTH, fold};
use crate::event::CaseId;
use crate::failure::{Kind, Result};
use crate::report::inputs::Input;
use crate::report::model::{Content, Run, case_names, cell};
use crate::series::Series;
use crate::words::count;

/// What results are wanted of.
#[derive(Clone, Copy, Debug)]
pub struct Wanted<'a> {
    pub base: &'a str,
    /// As for `--series`, in order.
    pub series: &'a [String],
    pub patches: &'a [Applied],
    /// Git's tree object of the source that the patches are for, if that is known.
    pub source: Option<&'a str>,
    /// All cases that there are.
    pub cases: &'a [CaseId],
}

/// A patch that the tested kernel is to have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Applied {
    /// Its file, for people.
    pub file: String,
    pub subject: String,
    /// [`crate::series::Patch::digest`].
    pub digest: String,
    /// When the file was written last.
    pub written: Option<Timestamp>,
}

/// The patches of series that are applied one after the other.
pub fn applied(stack: &[Series]) -> Vec<Applied> {
    let patches = stack.iter().flat_map(|series| &series.patches);
    let patches = patches.map(|patch| Applied {
        file: patch.path.to_string(),
        subject: patch.subject.clone(),
        digest: patch.digest(),
        written: written(&patch.path),
    });
    patches.collect()
}

fn written(path: &Utf8Path) -> Option<Timestamp> {
    path.metadata().ok()?.modified().ok()?.try_into().ok()
}

/// Two runs of all cases that can be compared.
#[derive(Clone, Copy, Debug)]
pub struct Pair<'a> {
    pub stock: &'a Run,
    pub patched: &'a Run,
}

/// Finds them among all runs.
///
/// # Errors
/// [`Kind::Usage`] that says why there are none, and which command makes them.
pub fn newest<'a>(runs: &'a [Input], wanted: &Wanted<'_>) -> Result<Pair<'a>> {
    let refuse = |what: String| Kind::Usage.error(format!("{what}; run: {}", command(wanted)));
    let runs: Vec<&Input> = newest_first(runs, wanted.base);
    let part = |run: &Run| Some((Far::Partial, partial(run, wanted.cases)?));
    let of_patches = runs
        .iter()
        .copied()
        .filter(|it| !it.run.kernel.patches.is_empty());
    let (patched, later) = choose(of_patches, |run| other(run, wanted).or_else(|| part(run)))
        .map_err(|why| {
            refuse(format!(
                "no results of these patches on {}: {why}",
                wanted.base
            ))
        })?;
    if let Some(worse) = later.iter().find_map(|it| worse(it, &patched.run, wanted)) {
        return Err(refuse(worse));
    }
    let of_stock = runs
        .iter()
        .copied()
        .filter(|it| it.run.kernel.patches.is_empty());
    let (stock, _) = choose(of_stock, |run| {
        let other = no_match(run, &patched.run).map(|why| (Far::Source, why));
        other.or_else(|| part(run))
    })
    .map_err(|why| {
        refuse(format!(
            "no results without the patches to compare {} with: {why}",
            patched.name()
        ))
    })?;
    Ok(Pair {
        stock: &stock.run,
        patched: &patched.run,
    })
}

fn command(wanted: &Wanted<'_>) -> String {
    let series: String = wanted
        .series
        .iter()
        .map(|name| format!(" --series {name}"))
        .collect();
    format!(
        "cargo xtask test-kernel --base {}{series} --compare stock",
        wanted.base
    )
}

fn newest_first<'a>(runs: &'a [Input], base: &str) -> Vec<&'a Input> {
    let mut of_base: Vec<&Input> = runs
        .iter()
        .filter(|it| it.run.kernel.base == base)
        .collect();
    of_base.sort_by_key(|it| std::cmp::Reverse(started(&it.run)));
    of_base
}

/// One that cannot be read counts as the oldest.
fn started(run: &Run) -> Option<Timestamp> {
    run.started.parse().ok()
}

/// How far a run is from what is wanted, the nearest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Far {
    /// It has not all cases.
    Partial,
    Source,
    Content,
    Patches,
}

/// What speaks against a run.
type Against = (Far, String);

/// The first of which nothing speaks against, and those before it; the error is what speaks against the nearest, and of
/// those the newest.
fn choose<'a>(
    runs: impl Iterator<Item = &'a Input>,
    against: impl Fn(&Run) -> Option<Against>,
) -> std::result::Result<(&'a Input, Vec<&'a Input>), String> {
    let (mut before, mut all) = (Vec::new(), Vec::new());
    for input in runs {
        match against(&input.run) {
            None => return Ok((input, before)),
            Some(against) => all.push(against),
        }
        before.push(input);
    }
    let pairs = before.iter().zip(all).enumerate();
    let nearest = pairs.min_by_key(|(_, (_, (far, _)))| *far);
    Err(match nearest {
        Some((0, (input, (_, why)))) => format!("the newest, {}, {why}", input.name()),
        Some((_, (input, (_, why)))) => format!("the nearest, {}, {why}", input.name()),
        None => "there is none at all".into(),
    })
}

/// Why a run is not of these patches on this source. Subjects do not tell: people edit patches.
fn other(run: &Run, wanted: &Wanted<'_>) -> Option<Against> {
    let kernel = &run.kernel;
    let subjects: Vec<&str> = wanted
        .patches
        .iter()
        .map(|it| it.subject.as_str())
        .collect();
    if kernel.patches != subjects {
        let what = format!("has other patches ({})", kernel.title());
        return Some((Far::Patches, what));
    }
    let content = match known(run) {
        Ok(content) => content,
        Err(why) => return Some((Far::Content, why)),
    };
    if content.edited {
        let what = "was made from a work tree with edits that are in no patch file (series refresh \
            writes them there)";
        return Some((Far::Content, what.into()));
    }
    let digests = content.patches.iter().zip(wanted.patches);
    let differing = digests
        .into_iter()
        .find(|(digest, patch)| **digest != patch.digest);
    if let Some((_, patch)) = differing {
        return Some((Far::Content, edited_since(run, patch)));
    }
    if content.patches.len() != wanted.patches.len() {
        let what = "does not tell the content of each patch";
        return Some((Far::Content, what.into()));
    }
    let source = wanted.source?;
    Some((Far::Source, other_source(run, content, source)?))
}

fn known(run: &Run) -> std::result::Result<&Content, String> {
    run.kernel.content.as_ref().ok_or_else(|| {
        "is from before reports told the content of patches and source, so that nobody knows what \
         it is of"
            .into()
    })
}

fn edited_since(run: &Run, patch: &Applied) -> String {
    match (started(run), patch.written) {
        (Some(run), Some(written)) if run < written => {
            format!("is older than {}, which was edited since", patch.file)
        }
        _ => format!("had another {}", patch.file),
    }
}

fn other_source(run: &Run, content: &Content, source: &str) -> Option<String> {
    let label = run
        .kernel
        .source
        .as_deref()
        .unwrap_or("a tree of the user's");
    (content.source != source)
        .then(|| format!("is of another source ({label}, {})", run.kernel.version))
}

/// Why a run does not tell what all cases say.
fn partial(run: &Run, cases: &[CaseId]) -> Option<String> {
    if let Some(part) = &run.part {
        return Some(format!("has shard {} only", part.shard));
    }
    if let Some(why) = run.why() {
        return Some(format!("ended early: {why}"));
    }
    let is_there = |id: &&CaseId| run.results.iter().any(|result| result.id == **id);
    let missing: Vec<_> = cases
        .iter()
        .filter(|id| !is_there(id))
        .chain(&run.not_run)
        .collect();
    let first = missing.first()?;
    Some(format!(
        "lacks {}, such as {} on {}",
        count(missing.len(), "case"),
        first.case,
        first.filesystem
    ))
}

/// Why a run without patches is not the counterpart of one with them.
fn no_match(run: &Run, patched: &Run) -> Option<String> {
    let (ours, theirs) = (&run.kernel, &patched.kernel);
    let (content, of_patched) = match (known(run), known(patched)) {
        (Ok(ours), Ok(theirs)) => (ours, theirs),
        (Err(why), _) | (_, Err(why)) => return Some(why),
    };
    if ours.version != theirs.version || content.source != of_patched.source {
        return Some(format!("is of another source ({})", ours.version));
    }
    if content.edited || content.built != content.source {
        return Some("is not of the source as it is, but of an edited one".into());
    }
    if ours.configs != theirs.configs {
        return Some(format!(
            "has other kernel options ({}, and not {})",
            configs(&ours.configs),
            configs(&theirs.configs)
        ));
    }
    // The table names one for both.
    let [here, there] = [run, patched].map(machine);
    (here != there).then(|| format!("ran in another one ({here}, and not {there})"))
}

fn machine(run: &Run) -> String {
    let version = run
        .machine
        .qemu
        .trim_start_matches("QEMU emulator version ");
    format!("QEMU {version}, {}", run.machine.accelerator)
}

fn configs(names: &[String]) -> String {
    match names {
        [] => "the default".into(),
        names => names.join(" + "),
    }
}

/// A later run of the same with a failure that the whole run does not have: to leave it out would be untrue.
fn worse(later: &Input, whole: &Run, wanted: &Wanted<'_>) -> Option<String> {
    if other(&later.run, wanted).is_some() {
        return None;
    }
    let failed = |run: &Run, id: &CaseId| {
        let same = |other: &CaseId| other.filesystem == id.filesystem && other.case == id.case;
        let mut results = run.results.iter().filter(|result| same(&result.id));
        results.any(|result| result.verdict.is_failure())
    };
    let mut ids = later.run.results.iter().map(|result| &result.id);
    let id = ids.find(|id| failed(&later.run, id) && !failed(whole, id))?;
    Some(format!(
        "{} on {} failed in {}, which is newer than the newest run of all cases, where it did not",
        id.case,
        id.filesystem,
        later.name()
    ))
}

/// A line of the table.
struct Row {
    name: String,
    /// Of one filesystem, which the name has.
    is_of_one: bool,
    stock: String,
    patched: String,
}

/// The table, fit for a mail: what differs, or fails with the patches. The rest is counted. `stack` is what was tested; its
/// last series is mailed.
pub fn table(pair: Pair<'_>, cases: &[CaseId], stack: &[Series]) -> String {
    let below = stack.split_last().map_or(&[][..], |(_, below)| below);
    let below: Vec<&Series> = below.iter().filter(|it| !it.patches.is_empty()).collect();
    let mut rows = Vec::new();
    let (mut same, mut added) = (0, 0);
    for case in case_names(cases) {
        let mut of_case: Vec<(Filesystem, Row)> = Vec::new();
        for filesystem in cases
            .iter()
            .filter(|id| id.case == case)
            .map(|id| id.filesystem)
        {
            let [stock, patched] =
                [pair.stock, pair.patched].map(|run| cell(&run.results, filesystem, case));
            match (stock.as_str(), patched.as_str()) {
                ("ok", "ok") | ("skipped", "skipped") => same += 1,
                ("skipped", "ok") => added += 1,
                _ => of_case.push((
                    filesystem,
                    Row {
                        name: case.to_owned(),
                        is_of_one: false,
                        stock,
                        patched,
                    },
                )),
            }
        }
        let all = cases.iter().filter(|id| id.case == case).count();
        rows.extend(merged(of_case, all));
    }
    let filesystems = filesystems(cases);
    let mut heading = heading(pair, cases, (&filesystems, &below));
    if filesystems.len() > 1 && rows.iter().any(|row| !row.is_of_one) {
        heading += " A row that names no filesystem is for all of them.";
    }
    let mut table = fold(&heading, "");
    table.push_str("\n\n");
    if !rows.is_empty() {
        let _ = writeln!(table, "{}", aligned(&rows));
    }
    table + &tail(same, added, below.is_empty()) + "\n"
}

/// One row if all filesystems of a case agree, else one for each.
fn merged(mut rows: Vec<(Filesystem, Row)>, all: usize) -> Vec<Row> {
    let alike = rows.windows(2).all(|two| {
        let (a, b) = (&two[0].1, &two[1].1);
        (&a.stock, &a.patched) == (&b.stock, &b.patched)
    });
    if alike && rows.len() == all {
        rows.truncate(1);
    } else {
        for (filesystem, row) in &mut rows {
            row.name = format!("{} ({filesystem})", row.name);
            row.is_of_one = true;
        }
    }
    rows.into_iter().map(|(_, row)| row).collect()
}

fn filesystems(cases: &[CaseId]) -> Vec<String> {
    let mut filesystems: Vec<String> = Vec::new();
    for name in cases.iter().map(|id| id.filesystem.to_string()) {
        if !filesystems.contains(&name) {
            filesystems.push(name);
        }
    }
    filesystems
}

/// Without which patches, and with which.
fn compared(below: &[&Series]) -> String {
    if below.is_empty() {
        return "without (stock) and with (patched) this series".into();
    }
    let patches: usize = below.iter().map(|series| series.patches.len()).sum();
    let patches = match patches {
        1 => "patch that it depends on".into(),
        many => format!("{many} patches that it depends on"),
    };
    let names: Vec<&str> = below.iter().map(|series| series.name.as_str()).collect();
    format!(
        "without (stock) any and with (patched) this series and the {patches} ({})",
        names.join(", ")
    )
}

fn heading(
    pair: Pair<'_>,
    cases: &[CaseId],
    (filesystems, below): (&[String], &[&Series]),
) -> String {
    let kernel = &pair.patched.kernel;
    let source = kernel
        .source
        .as_ref()
        .map_or(String::new(), |source| format!(", {source}"));
    let options = match kernel.configs.as_slice() {
        [] => String::new(),
        configs => format!(", options {}", configs.join(" + ")),
    };
    format!(
        "{} on {}, {}: Linux {}{source}{options}; {}. The tests are a part of the project that \
         this series comes from, and not of the series.",
        count(cases.len(), "test"),
        filesystems.join(" and "),
        compared(below),
        kernel.version,
        machine(pair.patched)
    )
}

fn aligned(rows: &[Row]) -> String {
    let head = Row {
        name: "test".into(),
        is_of_one: false,
        stock: "stock".into(),
        patched: "patched".into(),
    };
    let rows = || std::iter::once(&head).chain(rows);
    let width = |of: fn(&Row) -> &str| rows().map(|row| of(row).chars().count()).max().unwrap_or(0);
    let (name, stock) = (width(|row| &row.name), width(|row| &row.stock));
    let lines = rows().map(|row| {
        let line = format!(
            "  {:name$}  {:stock$}  {}",
            row.name, row.stock, row.patched
        );
        match line.chars().count() <= WIDTH {
            true => format!("{line}\n"),
            false => format!("  {}\n      {}, {}\n", row.name, row.stock, row.patched),
        }
    });
    lines.collect()
}

fn tail(same: usize, added: usize, is_alone: bool) -> String {
    let [with, adds, without] = match is_alone {
        true => ["this series", "it adds", "it"],
        false => ["all these patches", "these add", "them"],
    };
    let mut parts = Vec::new();
    if added > 0 {
        parts.push(format!(
            "{added} more pass with {with} and are skipped without: they test what {adds}."
        ));
    }
    if same > 0 {
        parts.push(format!(
            "{same} end the same way with and without {without}."
        ));
    }
    fold(&parts.join(" "), "")
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use harness::wire::Filesystem::{Ext3, Xfs};

    use super::*;
    use crate::event::Verdict::{self, Failed, Hung, Passed, Skipped};
    use crate::host::layout::Layout;
    use crate::report::model::samples;
    use crate::series::load;
    use crate::shard::Part;

    const CASES: [&str; 4] = ["same", "mended", "new", "odd"];

    fn ids() -> Vec<CaseId> {
        let of = |filesystem| CASES.map(|case| samples::result(filesystem, case, 0, Passed).id);
        [of(Ext3), of(Xfs)].concat()
    }

    fn patches() -> Vec<Applied> {
        ["one", "two"]
            .map(|name| Applied {
                file: format!("000-{name}.patch"),
                subject: format!("fs: {name}"),
                digest: format!("digest of {name}"),
                written: Some("2026-11-20T00:00:00Z".parse().unwrap()),
            })
            .to_vec()
    }

    fn stock_verdict(id: &CaseId) -> Verdict {
        match (id.case.as_str(), id.filesystem) {
            ("mended", _) => Failed("x".into()),
            ("new", _) => Skipped("x".into()),
            ("odd", Ext3) => Hung("x".into()),
            _ => Passed,
        }
    }

    fn run(day: u32, is_patched: bool, change: impl Fn(&mut Run)) -> Input {
        let verdict = |id: &CaseId| {
            if is_patched {
                Passed
            } else {
                stock_verdict(id)
            }
        };
        let results = ids()
            .into_iter()
            .map(|id| samples::result(id.filesystem, &id.case, 0, verdict(&id)));
        let series: &[&str] = if is_patched { &["s"] } else { &[] };
        let mut run = samples::run(series, results.collect());
        let patches = if is_patched { patches() } else { Vec::new() };
        run.started = format!("2026-11-{day:02}T01:00:00+01:00");
        run.kernel.source = Some("linux-source-6.12 6.12.117-1".into());
        run.kernel.patches = patches.iter().map(|it| it.subject.clone()).collect();
        run.kernel.content = Some(Content {
            source: "tree".into(),
            built: if is_patched { "other" } else { "tree" }.into(),
            edited: false,
            patches: patches.into_iter().map(|it| it.digest).collect(),
        });
        change(&mut run);
        Input {
            path: format!("runs/{day}/results.json").into(),
            run,
        }
    }

    fn content(run: &mut Run) -> &mut Content {
        run.kernel.content.as_mut().unwrap()
    }

    fn refusal(runs: &[Input]) -> Option<String> {
        let (patches, cases) = (patches(), ids());
        let wanted = Wanted {
            base: "6.12",
            series: &["s".into()],
            patches: &patches,
            source: Some("tree"),
            cases: &cases,
        };
        newest(runs, &wanted)
            .err()
            .map(|failure| failure.to_string())
    }

    fn fail(run: &mut Run) {
        run.results.truncate(1);
        run.results[0].verdict = Failed("x".into());
    }

    #[test]
    fn what_is_refused() {
        type Change = fn(&mut Run);
        let shard: Change = |run| {
            run.part = Some(Part {
                shard: "1/2".parse().unwrap(),
                whole: ids(),
            });
        };
        let of_patched: &[(Change, &str)] = &[
            (
                |run| run.kernel.content = None,
                "is from before reports told the content",
            ),
            (
                |run| run.kernel.patches[1] = "fs: three".into(),
                "has other patches (6.12.117 s)",
            ),
            (|run| content(run).edited = true, "series refresh"),
            (
                |run| content(run).patches[1] = "x".into(),
                "had another 000-two.patch",
            ),
            (
                |run| content(run).patches.truncate(1),
                "does not tell the content",
            ),
            (
                |run| content(run).source = "x".into(),
                "another source (linux-source-6.12 6.12.117-1, 6.12.117)",
            ),
            (
                |run| run.failure = Some("interrupted\nx".into()),
                "ended early: interrupted",
            ),
            (
                |run| run.not_run = vec![ids().remove(0)],
                "lacks 1 case, such as same on ext3",
            ),
            (
                |run| run.results.truncate(6),
                "lacks 2 cases, such as new on xfs",
            ),
            (shard, "has shard 1/2 only"),
            (|run| run.kernel.base = "6.1".into(), "there is none at all"),
        ];
        for (change, words) in of_patched {
            let said = refusal(&[run(21, false, |_| ()), run(22, true, change)]).expect(words);
            assert!(
                said.starts_with("no results of these patches on 6.12: ") && said.contains(words),
                "{said}"
            );
            assert!(
                said.ends_with(
                    "run: cargo xtask test-kernel --base 6.12 --series s --compare stock"
                ),
                "{said}"
            );
        }
        let of_stock: &[(Change, &str)] = &[
            (|run| run.kernel.content = None, "is from before reports"),
            (
                |run| run.kernel.version = "6.12.9".into(),
                "another source (6.12.9)",
            ),
            (|run| content(run).source = "x".into(), "another source"),
            (|run| content(run).built = "x".into(), "an edited one"),
            (
                |run| run.kernel.configs = vec!["debug".into()],
                "other kernel options (debug, and not the default)",
            ),
            (
                |run| run.machine.accelerator = "kvm".into(),
                "another one (QEMU 10.0.2, kvm, and not QEMU 10.0.2, tcg)",
            ),
            (|run| run.results.truncate(7), "lacks 1 case"),
            (|run| run.kernel.base = "6.1".into(), "there is none at all"),
        ];
        for (change, words) in of_stock {
            let said = refusal(&[run(21, false, change), run(22, true, |_| ())]).expect(words);
            assert!(
                said.starts_with("no results without the patches") && said.contains(words),
                "{said}"
            );
        }
    }

    #[test]
    fn which_runs_count() {
        let stock = || run(2, false, |_| ());
        for (runs, words) in [
            (vec![stock(), run(20, true, |_| ())], None),
            (vec![], Some("there is none at all")),
            (
                vec![
                    stock(),
                    run(19, true, |run| content(run).patches[0] = "x".into()),
                ],
                Some("is older than 000-one.patch, which was edited since"),
            ),
            // The nearest says what is missing, and not one of another stack that is newer.
            (
                vec![
                    stock(),
                    run(25, true, |run| run.kernel.patches[0] = "x".into()),
                    run(22, true, |run| run.results.truncate(6)),
                    run(21, true, |run| run.results.truncate(7)),
                    run(20, true, |run| content(run).patches[0] = "x".into()),
                ],
                Some("the nearest, runs/22, lacks 2 cases"),
            ),
            (
                vec![
                    run(25, false, |run| run.machine.accelerator = "kvm".into()),
                    run(22, false, |run| run.results.truncate(7)),
                    run(20, true, |_| ()),
                ],
                Some("the nearest, runs/22, lacks 1 case"),
            ),
            // A later one of some cases, or of other patches, does not count; a later failure does.
            (
                vec![
                    run(25, true, |run| run.results.truncate(1)),
                    stock(),
                    run(20, true, |_| ()),
                ],
                None,
            ),
            (
                vec![
                    run(25, true, |run| {
                        fail(run);
                        content(run).patches[0] = "x".into();
                    }),
                    stock(),
                    run(20, true, |_| ()),
                ],
                None,
            ),
            (
                vec![run(25, true, fail), stock(), run(20, true, |_| ())],
                Some("same on ext3 failed in runs/25, which is newer"),
            ),
            (
                vec![run(18, true, fail), stock(), run(20, true, |_| ())],
                None,
            ),
            // However it failed, and whatever the options.
            (
                vec![
                    run(25, true, |run| {
                        fail(run);
                        run.results[0].verdict = Verdict::KilledGuest("x".into());
                        run.kernel.configs = vec!["debug".into()];
                    }),
                    stock(),
                    run(20, true, |_| ()),
                ],
                Some("same on ext3 failed in runs/25"),
            ),
            // What hung or failed is a result, and so is what ran more than once.
            (
                vec![
                    run(25, true, |run| {
                        run.results[0].verdict = Hung("x".into());
                        let mut again = run.results.clone();
                        again.iter_mut().for_each(|it| it.id.repeat = 1);
                        run.results.extend(again);
                    }),
                    stock(),
                ],
                None,
            ),
            // Nobody knows when that was.
            (
                vec![
                    run(25, true, |run| {
                        fail(run);
                        run.started = "yesterday".into();
                    }),
                    stock(),
                    run(20, true, |_| ()),
                ],
                None,
            ),
        ] {
            match (refusal(&runs), words) {
                (None, None) => {}
                (Some(said), Some(words)) => assert!(said.contains(words), "{said}"),
                (got, words) => panic!("{got:?} {words:?}"),
            }
        }
    }

    #[test]
    fn patches_of_this_checkout() {
        let layout = Layout::of_this_checkout().unwrap();
        let names = ["generic-freeze", "ext3-ioctl"];
        let stack = names.map(|name| load(&layout, "mainline", name).unwrap());
        let applied = applied(&stack);
        let patches: usize = stack.iter().map(|series| series.patches.len()).sum();
        assert_eq!(applied.len(), patches);
        let digests: HashSet<_> = applied.iter().map(|it| &it.digest).collect();
        assert_eq!(digests.len(), patches);
        assert!(applied.iter().all(|it| it.written.is_some()));
    }

    #[test]
    fn a_table_for_mail() {
        let (stock, patched) = (run(1, false, |_| ()), run(2, true, |_| ()));
        let pair = Pair {
            stock: &stock.run,
            patched: &patched.run,
        };
        assert_eq!(
            table(pair, &ids(), &[]),
            "8 tests on ext3 and xfs, without (stock) and with (patched) this series:\n\
             Linux 6.12.117, linux-source-6.12 6.12.117-1; QEMU 10.0.2, tcg. The\n\
             tests are a part of the project that this series comes from, and not of\n\
             the series. A row that names no filesystem is for all of them.\n\n  \
               test        stock   patched\n  \
               mended      FAILED  ok\n  \
               odd (ext3)  HUNG    ok\n\n\
             2 more pass with this series and are skipped without: they test what it\n\
             adds. 3 end the same way with and without it.\n"
        );
    }

    /// The patches below are not in the kernel that they are compared with.
    #[test]
    fn what_a_stack_changes_is_not_said_to_be_the_last_series() {
        let (stock, patched) = (run(1, false, |_| ()), run(2, true, |_| ()));
        let pair = Pair {
            stock: &stock.run,
            patched: &patched.run,
        };
        let layout = Layout::of_this_checkout().unwrap();
        let load = |name: &str| load(&layout, "mainline", name).unwrap();
        let stack = [load("generic-freeze"), load("ext3-ioctl")];
        let said = table(pair, &ids(), &stack).replace('\n', " ");
        let below = stack[0].patches.len();
        for words in [
            &format!(
                "without (stock) any and with (patched) this series and the {below} patches that it depends on \
                 (generic-freeze): Linux"
            ),
            "2 more pass with all these patches and are skipped without: they test what these add.",
            "3 end the same way with and without them.",
        ] {
            assert!(said.contains(words), "{words}: {said}");
        }
        let mut one = stack.clone();
        one[0].patches.truncate(1);
        let said = table(pair, &ids(), &one).replace('\n', " ");
        assert!(
            said.contains("and the patch that it depends on (generic-freeze):"),
            "{said}"
        );
        let alone = table(pair, &ids(), &stack[1..]);
        assert_eq!(alone, table(pair, &ids(), &[]));
    }

    #[test]
    fn what_fails_with_the_patches_is_never_counted_away() {
        let fails = |run: &mut Run| run.results[0].verdict = Failed("x".into());
        let (stock, patched) = (run(1, false, fails), run(2, true, fails));
        let pair = Pair {
            stock: &stock.run,
            patched: &patched.run,
        };
        let table = table(pair, &ids(), &[]);
        assert!(table.contains("same (ext3)  FAILED  FAILED\n"), "{table}");
    }

    #[test]
    fn real_cases_fit_into_the_width() {
        let results = |verdict: fn(u32) -> Verdict| {
            let cases = harness::cases::all().iter().flat_map(|case| {
                (0..3).flat_map(move |repeat| {
                    [Ext3, Xfs].map(|on| samples::result(on, case.name, repeat, verdict(repeat)))
                })
            });
            samples::run(&[], cases.collect())
        };
        let stock = results(|repeat| {
            if repeat == 0 {
                Verdict::KilledGuest("x".into())
            } else {
                Hung("x".into())
            }
        });
        let patched = results(|repeat| {
            if repeat == 0 {
                Passed
            } else {
                Failed("x".into())
            }
        });
        let ids: Vec<_> = stock
            .results
            .iter()
            .map(|it| it.id.clone())
            .filter(|id| id.repeat == 0)
            .collect();
        let pair = Pair {
            stock: &stock,
            patched: &patched,
        };
        let layout = Layout::of_this_checkout().unwrap();
        let stack =
            ["generic-freeze", "ext3-ioctl"].map(|it| load(&layout, "mainline", it).unwrap());
        for line in table(pair, &ids, &stack).lines() {
            assert!(line.chars().count() <= WIDTH, "{line}");
        }
    }
}
