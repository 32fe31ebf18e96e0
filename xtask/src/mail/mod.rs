//! From a tested series to mails: a base that others have, the series on top of it, what is refused, what goes with it,
//! b4, which writes the mails, what was sent, and what came back.

pub mod audit;
pub mod b4;
pub mod base;
pub mod checklist;
pub mod cover;
pub mod drawn;
#[cfg(test)]
mod fixture;
pub mod graft;
pub mod identity;
pub mod lend;
pub mod letter;
pub mod mbox;
pub mod proof;
pub mod record;
pub mod refuse;
pub mod results;
pub mod trailers;

use camino::Utf8PathBuf;

/// A series as it was tested: commits on top of a source that nobody else may have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tested {
    /// A repository or work tree that has the commits.
    pub repository: Utf8PathBuf,
    /// The commit of the source.
    pub base: String,
    /// The commit that the mailed patches begin after: `base`, or the last patch of the series that they depend on.
    pub first: String,
    /// The commit of the last patch.
    pub tip: String,
}

/// What a line of a mail should not be longer than, in characters.
pub const WIDTH: usize = 72;

/// Words in lines of [`WIDTH`]; those after the first begin with `indent`. A word that is longer has its own.
pub fn fold(text: &str, indent: &str) -> String {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= WIDTH => {
                line.push(' ');
                line.push_str(word);
            }
            Some(_) => lines.push(format!("{indent}{word}")),
            None => lines.push(word.to_owned()),
        }
    }
    lines.join("\n")
}
