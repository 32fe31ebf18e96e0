//! Texts as they may stand in a result line.

use std::time::Duration;

/// Those of Documentation/dev-tools/ktap.rst.
const DIRECTIVES: [&str; 5] = ["SKIP", "TODO", "XFAIL", "TIMEOUT", "ERROR"];

/// The words of a text, on one line.
pub fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// On one line, with no `#` that would begin a directive (TAP 14, "Escaping").
pub fn escape(text: &str) -> String {
    one_line(text).replace('\\', r"\\").replace('#', r"\#")
}

/// The reason of a failure, which no reader must take for a directive.
pub fn failure(reason: &str) -> String {
    let text = escape(reason);
    let word = text.split(' ').next().unwrap_or_default();
    let is_directive = DIRECTIVES.iter().any(|it| word.eq_ignore_ascii_case(it));
    match is_directive || time(word).is_some() {
        true => format!("failed: {text}"),
        false => text,
    }
}

/// What is between the `#` that are not escaped, without escapes: the reverse of [`escape`].
pub fn parts(text: &str) -> Vec<String> {
    let mut parts = vec![String::new()];
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        let escaped = characters.next_if(|next| character == '\\' && matches!(next, '\\' | '#'));
        match (escaped.unwrap_or(character), parts.last_mut()) {
            (character, Some(part)) if character != '#' || escaped.is_some() => {
                part.push(character)
            }
            _ => parts.push(String::new()),
        }
    }
    parts
}

/// `time=3ms`
pub fn time(word: &str) -> Option<Duration> {
    let ms = word.strip_prefix("time=")?.strip_suffix("ms")?;
    ms.parse().ok().map(Duration::from_millis)
}
