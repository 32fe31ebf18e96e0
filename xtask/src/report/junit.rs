//! JUnit XML, for CI systems: a suite a filesystem, a test case a case and repeat.

use std::time::Duration;

use anyhow::{Context, Result};
use harness::case::Filesystem;
use quick_junit::{NonSuccessKind, Report, TestCase, TestCaseStatus, TestSuite};

use crate::event::{CaseId, CaseResult, Verdict};
use crate::report::model::Run;

pub fn document(run: &Run) -> Result<String> {
    let mut report = Report::new(format!("test-kernel {}", run.kernel.title()));
    report.set_time(run.took);
    report.add_test_suites(run.failure.as_deref().map(aborted));
    for filesystem in Filesystem::ALL {
        let suite = suite(*filesystem, run);
        if !suite.test_cases.is_empty() {
            report.add_test_suite(suite);
        }
    }
    report
        .to_string()
        .context("failed to write the run as JUnit XML")
}

/// A suite of one error, lest a run that was cut short look green.
fn aborted(why: &str) -> TestSuite {
    let mut suite = TestSuite::new("run");
    suite.add_test_case(TestCase::new("ran to its end", error(why)));
    suite
}

fn suite(filesystem: Filesystem, run: &Run) -> TestSuite {
    let results = run.results.iter();
    let cases: Vec<_> = results
        .filter(|result| result.id.filesystem == filesystem)
        .collect();
    let mut suite = TestSuite::new(filesystem.name());
    suite.add_properties(properties(run));
    suite.set_time(cases.iter().map(|case| case.took).sum::<Duration>());
    suite.add_test_cases(cases.into_iter().map(test_case));
    let not_run = run.not_run.iter().filter(|id| id.filesystem == filesystem);
    let why = format!("did not run: {}", run.why().unwrap_or_default());
    suite.add_test_cases(not_run.map(|id| named(id, error(&why))));
    suite
}

/// The programs of the machine, by name, each with its version.
fn properties(run: &Run) -> impl Iterator<Item = (&str, &str)> {
    let machine = &run.machine;
    let programs = machine.programs.iter();
    std::iter::once(("qemu", machine.qemu.as_str()))
        .chain(programs.map(|(name, version)| (name.as_str(), version.as_str())))
}

fn error(why: &str) -> TestCaseStatus {
    let mut status = TestCaseStatus::non_success(NonSuccessKind::Error);
    status.set_message(why);
    status
}

fn test_case(result: &CaseResult) -> TestCase {
    let status = match &result.verdict {
        Verdict::Passed => TestCaseStatus::success(),
        Verdict::Skipped(reason) => {
            let mut status = TestCaseStatus::skipped();
            status.set_message(reason.as_str());
            status
        }
        verdict => {
            let mut status = TestCaseStatus::non_success(NonSuccessKind::Failure);
            status
                .set_type(verdict.word())
                .set_message(verdict.reason());
            status.set_description(result.diagnostics.join("\n"));
            status
        }
    };
    let mut case = named(&result.id, status);
    case.set_time(result.took);
    case
}

fn named(id: &CaseId, status: TestCaseStatus) -> TestCase {
    let name = match id.repeat {
        0 => id.case.clone(),
        repeat => format!("{} (repeat {})", id.case, repeat + 1),
    };
    let mut case = TestCase::new(name, status);
    case.set_classname(id.filesystem.name());
    case
}

#[cfg(test)]
mod tests {
    use harness::case::Filesystem::{Ext3, Xfs};

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
    }
}
