//! A series as mails: what is refused, what goes with it, what was sent, and what came back.

pub mod checklist;
pub mod cover;
pub mod mbox;
pub mod record;
pub mod refuse;
pub mod results;
pub mod trailers;

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
