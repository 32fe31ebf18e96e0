//! What differs between one series on two bases, for a terminal or a pipe.

use console::style;

use crate::review::diff::{Block, Entry, Kind, Pair, Part, Row, Side, Title};
use crate::words::{count, visible};

/// `names` are those of the old and the new base.
pub fn text(series: &str, names: [&str; 2], entries: &[Entry]) -> String {
    let differ = entries.iter().filter(|entry| match entry {
        Entry::Gone(_) | Entry::Come(_) => true,
        Entry::Pair(pair) => pair.differs(),
    });
    let [old, new] = names;
    let patches = count(entries.len(), "patch");
    let end = match differ.count() {
        0 => format!("{series}: {old} and {new} do not differ in {patches}"),
        1 => format!("{series}: 1 of {patches} differs"),
        some => format!("{series}: {some} of {patches} differ"),
    };
    let (from, to) = (format!("< {old}/{series}"), format!("> {new}/{series}"));
    let mut text = format!("{}\n{}\n\n", style(from).red(), style(to).green());
    for entry in entries {
        text += &match entry {
            Entry::Gone(title) => alone(title, old),
            Entry::Come(title) => alone(title, new),
            Entry::Pair(pair) => self::pair(pair, names),
        };
    }
    text + &end
}

/// A unified diff in colours, where there are some.
pub fn coloured(unified: &str) -> String {
    let lines = unified.lines().map(|line| {
        let styled = style(visible(line));
        let head = ["--- ", "+++ "].iter().any(|start| line.starts_with(start));
        match line.chars().next() {
            _ if head => styled.bold(),
            Some('-') => styled.red(),
            Some('+') => styled.green(),
            Some('@') => styled.cyan(),
            _ => styled,
        }
        .to_string()
    });
    lines.collect::<Vec<_>>().join("\n")
}

fn alone(title: &Title, base: &str) -> String {
    let Title { place, subject } = title;
    headed(&format!("{place} {subject}: only in {base}"))
}

fn headed(words: &str) -> String {
    format!("{}\n\n", style(visible(words)).bold())
}

fn pair(pair: &Pair, [old, new]: [&str; 2]) -> String {
    let Pair {
        old: from, new: to, ..
    } = pair;
    let mut words = format!("{} {}", to.place, to.subject);
    if pair.moved {
        words += &format!(
            ": patch {} of {old}, patch {} of {new}",
            from.place, to.place
        );
    }
    if !pair.differs() {
        words += ": no difference";
    }
    let mut text = headed(&words);
    for part in &pair.parts {
        text += &self::part(part);
    }
    text
}

fn part(part: &Part) -> String {
    let name = style(format!("## {}", visible(&part.name))).bold();
    let blocks: String = part.blocks.iter().map(block).collect();
    format!("{name}\n{blocks}\n")
}

fn block(block: &Block) -> String {
    let head = format!("@@ {}", visible(&block.function));
    let rows: String = block.rows.iter().map(row).collect();
    format!("{}\n{rows}", style(head.trim_end()).cyan())
}

fn row(row: &Row) -> String {
    let of = match row.side {
        Side::Old => '<',
        Side::New => '>',
        Side::Both => ' ',
    };
    let does = match row.kind {
        Kind::Added => '+',
        Kind::Removed => '-',
        Kind::Context | Kind::Text => ' ',
    };
    let line = style(format!("{of}{does}{}", visible(&row.text)));
    let line = match row.side {
        _ if row.kind == Kind::Context => line.dim(),
        Side::Old => line.red(),
        Side::New => line.green(),
        Side::Both => line,
    };
    format!("{line}\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn title(place: usize) -> Title {
        Title {
            place,
            subject: "fs: a".into(),
        }
    }

    fn told(entries: &[Entry]) -> String {
        let told = text("s", ["6.1", "6.12"], entries);
        console::strip_ansi_codes(&told).into_owned()
    }

    #[test]
    fn colours_change_no_word() {
        let diff = "--- a\n+++ b\n@@ -1,2 +1,2 @@\n-\u{1b}old\n+new\n kept\n";
        let coloured = coloured(diff);
        let plain = console::strip_ansi_codes(&coloured);
        similar_asserts::assert_eq!(
            plain,
            "--- a\n+++ b\n@@ -1,2 +1,2 @@\n-\\u{1b}old\n+new\n kept"
        );
    }

    #[test]
    fn no_difference_is_said() {
        let same = Pair {
            old: title(1),
            new: title(1),
            moved: false,
            parts: Vec::new(),
        };
        similar_asserts::assert_eq!(
            told(&[Entry::Pair(same)]),
            "< 6.1/s\n> 6.12/s\n\n\
             1 fs: a: no difference\n\n\
             s: 6.1 and 6.12 do not differ in 1 patch"
        );
        assert!(told(&[Entry::Come(title(1))]).ends_with("\ns: 1 of 1 patch differs"));
    }

    #[test]
    fn differences_have_two_columns() {
        let row = |side, kind, text: &str| Row {
            side,
            kind,
            text: text.into(),
        };
        let lines = Block {
            function: "int f(void)".into(),
            rows: vec![
                row(Side::Both, Kind::Context, "a"),
                row(Side::Old, Kind::Removed, "b"),
                row(Side::New, Kind::Added, "\u{1b}c"),
                row(Side::Both, Kind::Added, "d"),
            ],
        };
        let words = Block {
            function: String::new(),
            rows: vec![row(Side::New, Kind::Text, "Why.")],
        };
        let part = |name: &str, block| Part {
            name: name.into(),
            blocks: vec![block],
        };
        let pair = Pair {
            old: title(1),
            new: title(2),
            moved: true,
            parts: vec![part("message", words), part("a.c", lines)],
        };
        similar_asserts::assert_eq!(
            told(&[Entry::Pair(pair), Entry::Gone(title(3))]),
            "< 6.1/s\n> 6.12/s\n\n\
             2 fs: a: patch 1 of 6.1, patch 2 of 6.12\n\n\
             ## message\n@@\n> Why.\n\n\
             ## a.c\n@@ int f(void)\n  a\n<-b\n>+\\u{1b}c\n +d\n\n\
             3 fs: a: only in 6.1\n\n\
             s: 2 of 2 patches differ"
        );
    }
}
