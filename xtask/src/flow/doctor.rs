//! `doctor`: what is missing, what is there.

use super::prepare::{TO_TEST, missing};
use crate::deps::need::{Missing, Need};
use crate::failure::{Kind, PASSED, Result};
use crate::host::layout::Layout;
use crate::host::session::Session;
use crate::kernel::bases;
use crate::report::terminal::text;
use crate::vm::accelerator;
use crate::vm::qemu::machine;
use crate::words::there;
use crate::{deps, series};

pub fn run(session: &Session) -> Result<u8> {
    let lacking = missing(TO_TEST);
    let optional = [
        ("building what was built before", missing(&[Need::Cache])),
        ("series check", missing(&[Need::Check])),
        ("mails of a series", missing(&[Need::Mail])),
        ("shell, --boot virtme, bench tool", missing(&[Need::Virtme])),
    ];
    text(&deps_text(&lacking, &optional));
    text(&kernels_text(&session.layout)?);
    text(&accel_text(session));
    match lacking.as_slice() {
        [] => Ok(PASSED),
        lacking => Err(Kind::Machinery.error(there(lacking.len(), "missing thing"))),
    }
}

/// What is optional comes with what it is for.
fn deps_text(missing: &[Missing], optional: &[(&str, Vec<Missing>)]) -> String {
    let mut text = match deps::to_have(missing) {
        None => "tools: all there".into(),
        Some(line) => format!("tools: missing{}", list(missing, &line)),
    };
    for (what, missing) in optional {
        if let Some(line) = deps::to_have(missing) {
            text += &format!("\noptional, for {what}: missing{}", list(missing, &line));
        }
    }
    text
}

fn list(missing: &[Missing], line: &str) -> String {
    let items = missing
        .iter()
        .map(|missing| format!("\n  {} (package {})", missing.what, missing.package));
    format!("{}\ninstall with\n  {line}", items.collect::<String>())
}

fn kernels_text(layout: &Layout) -> Result<String> {
    let mut text = "kernels:".to_owned();
    for base in bases::load(layout)? {
        let series = series::known(layout, &base.name);
        let series = if series.is_empty() {
            "none".into()
        } else {
            series.join(", ")
        };
        text += &format!(
            "\n  --base {:10} from {}, series: {series}",
            base.name, base.package
        );
    }
    for build in layout
        .builds()
        .read_dir_utf8()
        .into_iter()
        .flatten()
        .flatten()
    {
        text += &format!("\n  built: {}", build.file_name());
    }
    Ok(text)
}

fn accel_text(session: &Session) -> String {
    let verdict = match accelerator::kvm_is_there() {
        Err(why) => format!("tcg: {why}"),
        Ok(()) => measured(session),
    };
    format!("accelerator: {verdict}")
}

fn measured(session: &Session) -> String {
    let qemu = machine::version(&session.stop).unwrap_or_default();
    let known = accelerator::cached(&session.layout, &qemu);
    if known.is_empty() {
        return "not known yet: /dev/kvm opens, the next test-kernel measures what it is worth"
            .into();
    }
    let lines = known
        .iter()
        .map(|(kernel, verdict)| format!("\n  {kernel}: {}", verdict.sentence()));
    lines.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_optional_is_told_apart() {
        let missing = |name: &str| Missing {
            what: name.into(),
            package: name.into(),
        };
        assert_eq!(deps_text(&[], &[]), "tools: all there");
        let text = deps_text(
            &[],
            &[("series check", vec![missing("sparse")]), ("shell", vec![])],
        );
        let (needed, optional) = text.split_once('\n').unwrap();
        assert_eq!(needed, "tools: all there");
        assert!(optional.starts_with("optional, for series check: missing\n  sparse"));
        assert!(optional.contains("\ninstall with\n  "), "{optional}");
        let text = deps_text(&[missing("bc"), missing("flex")], &[]);
        assert!(
            text.starts_with("tools: missing\n  bc (package bc)\n  flex"),
            "{text}"
        );
        assert!(text.trim_end_matches('\'').ends_with(" bc flex"), "{text}");
    }
}
