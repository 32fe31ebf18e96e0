//! Numbers for people: three digits, and a unit that suits.

use harness::wire::samples::Unit;

use super::stats::{Ratio, Spread};

/// `12.3 ms`
pub fn value(value: f64, unit: Unit) -> String {
    match unit {
        Unit::Nanoseconds => scaled(value, 1000.0, &["ns", "µs", "ms", "s"]),
        Unit::BytesPerSecond => scaled(value, 1024.0, &["B/s", "KiB/s", "MiB/s", "GiB/s"]),
    }
}

fn scaled(mut value: f64, step: f64, names: &[&str]) -> String {
    let mut names = names.iter();
    let mut name = names.next().unwrap_or(&"");
    while value.abs() >= step {
        let Some(next) = names.next() else { break };
        value /= step;
        name = next;
    }
    format!("{} {name}", digits(value))
}

fn digits(value: f64) -> String {
    match value.abs() {
        0.0 => "0".into(),
        ..10.0 => format!("{value:.2}"),
        ..100.0 => format!("{value:.1}"),
        _ => format!("{value:.0}"),
    }
}

/// `12.3 ms (11.9 ms to 14.0 ms)`: the median, and the quartiles.
pub fn spread(spread: &Spread, unit: Unit) -> String {
    let of = |number| value(number, unit);
    if spread.count == 1 {
        return of(spread.median);
    }
    format!(
        "{} ({} to {})",
        of(spread.median),
        of(spread.low),
        of(spread.high)
    )
}

/// `1.003 (0.998 to 1.009)`
pub fn ratio(ratio: &Ratio) -> String {
    let Ratio {
        median, low, high, ..
    } = ratio;
    format!("{median:.3} ({low:.3} to {high:.3})")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_suit_the_number() {
        let table = [
            (812.0, Unit::Nanoseconds, "812 ns"),
            (9_123.0, Unit::Nanoseconds, "9.12 µs"),
            (12_345_678.0, Unit::Nanoseconds, "12.3 ms"),
            (4e12, Unit::Nanoseconds, "4000 s"),
            (0.0, Unit::Nanoseconds, "0 ns"),
            (3.5 * 1048576.0, Unit::BytesPerSecond, "3.50 MiB/s"),
        ];
        for (number, unit, wanted) in table {
            assert_eq!(value(number, unit), wanted);
        }
    }
}
