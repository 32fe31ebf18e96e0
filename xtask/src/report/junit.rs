//! JUnit XML, for CI systems: a suite a filesystem, a test case a case and repeat.

use std::fmt::Write;
use std::time::Duration;

use anyhow::{Context, Result};
use harness::wire::Filesystem;
use quick_xml::Writer;
use quick_xml::events::{BytesDecl, BytesEnd, BytesStart, BytesText, Event};

use super::model::Run;
use crate::event::{CaseId, CaseResult, Verdict};
use crate::words;

pub fn document(run: &Run) -> Result<String> {
    let suites = run.failure.as_deref().map(aborted);
    let suites: Vec<_> = suites
        .into_iter()
        .chain(Filesystem::ALL.iter().map(|fs| suite(*fs, run)))
        .filter(|suite| !suite.cases.is_empty())
        .collect();
    let name = format!("test-kernel {}", run.kernel.title());
    let all: Vec<_> = suites.iter().flat_map(|suite| &suite.cases).collect();
    let mut out = Writer::new_with_indent(Vec::new(), b' ', 4);
    let decl = BytesDecl::new("1.0", Some("UTF-8"), None);
    out.write_event(Event::Decl(decl))
        .and_then(|()| {
            let head = tag("testsuites", &tally(&name, &all, run.took));
            within(&mut out, head, |out| {
                suites.iter().try_for_each(|suite| write_suite(out, suite))
            })
        })
        .context("failed to write the run as JUnit XML")?;
    let text = String::from_utf8(out.into_inner()).context("XML is UTF-8")?;
    Ok(text + "\n")
}

struct Suite<'a> {
    name: &'static str,
    properties: Vec<(&'a str, &'a str)>,
    cases: Vec<TestCase>,
}

struct TestCase {
    name: String,
    class: &'static str,
    took: Duration,
    /// How it ended, if it did not pass.
    ending: Option<Ending>,
}

struct Ending {
    /// The element: `failure`, `error` or `skipped`.
    element: &'static str,
    message: String,
    word: Option<&'static str>,
    text: String,
}

/// A suite of one error, lest a run that was cut short look green.
fn aborted(why: &str) -> Suite<'_> {
    Suite {
        name: "run",
        properties: Vec::new(),
        cases: vec![TestCase {
            name: "ran to its end".into(),
            class: "run",
            took: Duration::ZERO,
            ending: Some(error(why)),
        }],
    }
}

fn suite(filesystem: Filesystem, run: &Run) -> Suite<'_> {
    let results = run.results.iter();
    let ran = results.filter(|result| result.id.filesystem == filesystem);
    let not_run = run.not_run.iter().filter(|id| id.filesystem == filesystem);
    let why = format!("did not run: {}", run.why().unwrap_or_default());
    let missing = not_run.map(|id| test_case(id, Duration::ZERO, Some(error(&why))));
    Suite {
        name: filesystem.name(),
        properties: properties(run).collect(),
        cases: ran
            .map(|result| test_case(&result.id, result.took, ending(result)))
            .chain(missing)
            .collect(),
    }
}

fn test_case(id: &CaseId, took: Duration, ending: Option<Ending>) -> TestCase {
    TestCase {
        name: id.name(),
        class: id.filesystem.name(),
        took,
        ending,
    }
}

/// The programs of the machine, by name, each with its version.
fn properties(run: &Run) -> impl Iterator<Item = (&str, &str)> {
    let machine = &run.machine;
    let programs = machine.programs.iter();
    std::iter::once(("qemu", machine.qemu.as_str()))
        .chain(programs.map(|(name, version)| (name.as_str(), version.as_str())))
}

fn error(why: &str) -> Ending {
    Ending {
        element: "error",
        message: why.into(),
        word: None,
        text: String::new(),
    }
}

fn ending(result: &CaseResult) -> Option<Ending> {
    let message = result.verdict.reason().to_owned();
    match &result.verdict {
        Verdict::Passed => None,
        Verdict::Skipped(_) => Some(Ending {
            element: "skipped",
            message,
            word: None,
            text: String::new(),
        }),
        verdict => Some(Ending {
            element: "failure",
            message,
            word: Some(verdict.word()),
            text: result.diagnostics.join("\n"),
        }),
    }
}

type Attributes = Vec<(&'static str, String)>;

/// The attributes of a suite, or of all.
fn tally(name: &str, cases: &[&TestCase], took: Duration) -> Attributes {
    let ended = |element| {
        let endings = cases.iter().filter_map(|case| case.ending.as_ref());
        let like = endings.filter(|ending| ending.element == element);
        like.count().to_string()
    };
    vec![
        ("name", name.into()),
        ("tests", cases.len().to_string()),
        ("skipped", ended("skipped")),
        ("failures", ended("failure")),
        ("errors", ended("error")),
        ("time", time(took)),
    ]
}

/// In seconds.
fn time(took: Duration) -> String {
    format!("{:.3}", took.as_secs_f64())
}

type Out = Writer<Vec<u8>>;

fn write_suite(out: &mut Out, suite: &Suite<'_>) -> std::io::Result<()> {
    let cases: Vec<_> = suite.cases.iter().collect();
    let took = words::sum(cases.iter().map(|case| case.took));
    within(
        out,
        tag("testsuite", &tally(suite.name, &cases, took)),
        |out| {
            write_properties(out, &suite.properties)?;
            cases.iter().try_for_each(|case| write_case(out, case))
        },
    )
}

fn write_properties(out: &mut Out, properties: &[(&str, &str)]) -> std::io::Result<()> {
    if properties.is_empty() {
        return Ok(());
    }
    within(out, tag("properties", &Vec::new()), |out| {
        properties.iter().try_for_each(|(name, value)| {
            let attributes = vec![("name", (*name).into()), ("value", (*value).into())];
            out.write_event(Event::Empty(tag("property", &attributes)))
        })
    })
}

fn write_case(out: &mut Out, case: &TestCase) -> std::io::Result<()> {
    let attributes = vec![
        ("name", words::clip(&case.name, words::SHOWN).into_owned()),
        ("classname", case.class.into()),
        ("time", time(case.took)),
    ];
    let tag = tag("testcase", &attributes);
    match &case.ending {
        None => out.write_event(Event::Empty(tag)),
        Some(ending) => within(out, tag, |out| write_ending(out, ending)),
    }
}

fn write_ending(out: &mut Out, ending: &Ending) -> std::io::Result<()> {
    let message = words::clip(&ending.message, words::SHOWN).into_owned();
    let mut attributes = vec![("message", message)];
    attributes.extend(ending.word.map(|word| ("type", word.into())));
    let tag = tag(ending.element, &attributes);
    if ending.text.is_empty() {
        return out.write_event(Event::Empty(tag));
    }
    let text = escaped(&ending.text, Place::Text);
    within(out, tag, |out| {
        out.write_event(Event::Text(BytesText::from_escaped(text)))
    })
}

fn within(
    out: &mut Out,
    tag: BytesStart<'static>,
    inner: impl FnOnce(&mut Out) -> std::io::Result<()>,
) -> std::io::Result<()> {
    let end = BytesEnd::from(tag.name()).into_owned();
    out.write_event(Event::Start(tag))?;
    inner(out)?;
    out.write_event(Event::End(end))
}

fn tag(name: &'static str, attributes: &Attributes) -> BytesStart<'static> {
    let mut tag = BytesStart::new(name);
    for (key, value) in attributes {
        let value = escaped(value, Place::Attribute);
        // As bytes, it is taken for escaped already.
        tag.push_attribute((key.as_bytes(), value.as_bytes()));
    }
    tag
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Text,
    Attribute,
}

/// The text such that an XML 1.0 reader gets it back. What XML cannot have at all is shown as `\u{1b}`.
fn escaped(text: &str, place: Place) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            '"' => out.push_str("&quot;"),
            // A reader makes a newline of a bare one, and a space of any such in an attribute.
            '\r' => out.push_str("&#13;"),
            '\t' | '\n' if place == Place::Attribute => {
                let _ = write!(out, "&#{};", u32::from(c));
            }
            c if is_xml(c) => out.push(c),
            c => out.extend(c.escape_unicode()),
        }
    }
    out
}

/// `Char` of XML 1.0, section 2.2.
fn is_xml(c: char) -> bool {
    matches!(c, '\t' | '\n' | '\r' | ' '..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'..)
}

#[cfg(test)]
mod tests {
    use harness::wire::Filesystem::{Ext3, Xfs};

    use super::*;
    use crate::report::model::samples::{aborted, result, run};

    #[test]
    fn an_aborted_run_is_not_green() {
        let xml = document(&aborted()).unwrap();
        assert!(xml.contains(r#"errors="3""#), "{xml}");
        assert!(xml.contains("did not run: interrupted"), "{xml}");
    }

    #[test]
    fn programs_are_properties() {
        let mut run = run(&[], vec![result(Ext3, "a", 0, Verdict::Passed)]);
        let version = "QEMU Guest Agent 10.0.2".to_owned();
        run.machine.programs.insert("qemu-ga".into(), version);
        let xml = document(&run).unwrap();
        for property in [
            r#"<property name="qemu" value="10.0.2"/>"#,
            r#"<property name="qemu-ga" value="QEMU Guest Agent 10.0.2"/>"#,
        ] {
            assert!(xml.contains(property), "{xml}");
        }
    }

    #[test]
    fn counts_and_escapes() {
        let xml = document(&run(
            &[],
            vec![
                result(Ext3, "a", 0, Verdict::Passed),
                result(Xfs, "a", 0, Verdict::Hung("in <FITHAW>".into())),
                result(Xfs, "b", 1, Verdict::Skipped("no".into())),
            ],
        ))
        .unwrap();
        assert!(
            xml.contains(r#"tests="3" skipped="1" failures="1""#),
            "{xml}"
        );
        assert!(
            xml.contains(r#"message="in &lt;FITHAW&gt;" type="HUNG""#),
            "{xml}"
        );
        assert!(xml.contains("said &amp; &lt;so&gt;"), "{xml}");
        assert!(xml.contains("b (repeat 2)"), "{xml}");
        let read = roxmltree::Document::parse(&xml).unwrap();
        let suites: Vec<_> = read
            .root_element()
            .children()
            .filter(|it| it.is_element())
            .collect();
        assert_eq!(suites.len(), 2);
        assert_eq!(suites[1].attribute("time"), Some("1.624"));
        let property = r#"<property name="qemu" value="10.0.2"/>"#;
        assert!(xml.contains(property), "{xml}");
    }

    /// What a parser reads where this stood in all places that others fill.
    fn read_back(said: &str) -> Vec<String> {
        let mut failed = result(Ext3, said, 0, Verdict::Failed(said.into()));
        failed.diagnostics = vec![format!("[{said}]")];
        let mut run = run(&[], vec![failed]);
        run.kernel.version = said.into();
        let xml = document(&run).unwrap();
        let read = roxmltree::Document::parse(&xml).unwrap_or_else(|why| panic!("{said:?}: {why}"));
        let find = |tag| read.descendants().find(|it| it.has_tag_name(tag)).unwrap();
        let failure = find("failure");
        let text = failure.text().unwrap();
        let title = find("testsuites").attribute("name").unwrap();
        let title = title
            .trim_start_matches("test-kernel ")
            .trim_end_matches(" stock");
        vec![
            title.into(),
            find("testcase").attribute("name").unwrap().into(),
            failure.attribute("message").unwrap().into(),
            text[1..text.len() - 1].into(),
        ]
    }

    #[test]
    fn a_parser_reads_what_was_said() {
        let whole = [
            "a\tb",
            "a\nb",
            "a\r\nb\rc",
            "<&>\"'",
            "]]>",
            "<!--",
            "&amp;",
            "&#0;",
            "ä€😀",
            "\u{7f}\u{85}\u{9f}",
            "\u{2028}",
            "\u{d7ff}\u{e000}\u{fffd}",
            "\u{10000}\u{1ffff}\u{10ffff}",
            "a  b",
        ];
        for said in whole {
            assert_eq!(read_back(said), vec![said; 4], "{said:?}");
        }
        let forbidden = ('\0'..' ').filter(|c| !"\t\n\r".contains(*c));
        for c in forbidden.chain(['\u{fffe}', '\u{ffff}']) {
            let shown = format!("a\\u{{{:x}}}b", u32::from(c));
            assert_eq!(read_back(&format!("a{c}b")), vec![shown; 4], "{c:?}");
        }
    }

    #[test]
    fn any_character_is_read_back_or_shown() {
        let all: Vec<char> = ('\0'..=char::MAX).collect();
        for some in all.chunks(words::SHOWN) {
            let said: String = some.iter().collect();
            let shown = |c: &char| match is_xml(*c) {
                true => c.to_string(),
                false => c.escape_unicode().to_string(),
            };
            let wanted: String = some.iter().map(shown).collect();
            let xml = format!(
                r#"<a b="{}">{}</a>"#,
                escaped(&said, Place::Attribute),
                escaped(&said, Place::Text)
            );
            let read = roxmltree::Document::parse(&xml).unwrap();
            assert_eq!(read.root_element().attribute("b"), Some(wanted.as_str()));
            assert_eq!(read.root_element().text(), Some(wanted.as_str()));
        }
    }

    #[test]
    fn messages_are_bounded() {
        let long = "ä".repeat(1_000_000);
        let read = read_back(&long);
        assert!(read[2].ends_with("… (999500 characters more in results.json)"));
        assert!(read[1].len() < 2000 && read[2].len() < 2000);
    }
}
