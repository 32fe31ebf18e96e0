//! Numbers as they are read.

use std::fmt::Display;

/// `1 case`, `2 cases`, `0 patches`.
pub fn count<N: Copy + Display + PartialEq + From<u8>>(number: N, noun: &str) -> String {
    format!("{number} {}", plural(number, noun))
}

/// `there is 1 case`, `there are 2 cases`.
pub fn there<N: Copy + Display + PartialEq + From<u8>>(number: N, noun: &str) -> String {
    let verb = if number == 1.into() { "is" } else { "are" };
    format!("there {verb} {}", count(number, noun))
}

/// The noun alone, as it stands after this number.
fn plural<N: PartialEq + From<u8>>(number: N, noun: &str) -> String {
    let hisses = ["s", "x", "ch", "sh"];
    if number == 1.into() {
        noun.into()
    } else if hisses.iter().any(|end| noun.ends_with(end)) {
        format!("{noun}es")
    } else {
        format!("{noun}s")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_is_not_many() {
        let table = [
            (0, "case", "0 cases"),
            (1, "case", "1 case"),
            (2, "case", "2 cases"),
            (1, "patch", "1 patch"),
            (3, "patch", "3 patches"),
            (2, "touched file", "2 touched files"),
        ];
        for (number, noun, words) in table {
            assert_eq!(count(number, noun), words);
        }
        assert_eq!(there(1_u64, "case"), "there is 1 case");
        assert_eq!(there(0_usize, "case"), "there are 0 cases");
    }
}
