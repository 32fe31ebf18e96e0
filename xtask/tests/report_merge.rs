//! `report merge` as a CI job sees it: files in, files and an exit code out.

use std::fs;
use std::path::{Path, PathBuf};

use assert_cmd::Command;
use serde_json::{Value, json};

const CASES: [&str; 3] = ["a", "b", "c"];

fn id(case: &str) -> Value {
    json!({ "filesystem": "xfs", "case": case, "repeat": 0 })
}

/// The results of shard NUMBER of 2, all of which ended like this.
fn shard(dir: &Path, number: usize, verdict: &Value, fingerprint: &str) -> PathBuf {
    let results = CASES.iter().skip(number - 1).step_by(2).map(|case| {
        json!({
            "id": id(case), "verdict": verdict, "diagnostics": [],
            "took": { "secs": 1, "nanos": 0 },
        })
    });
    let run = json!({
        "kernel": {
            "base": "6.12", "version": "6.12.117", "source": null, "series": [],
            "patches": [], "configs": [], "fingerprint": fingerprint,
        },
        "machine": { "accelerator": "tcg", "qemu": "7", "host_kernel": "6", "host_cpus": 2 },
        "started": "2026-11-21T01:00:00+00:00",
        "took": { "secs": 9, "nanos": 0 },
        "results": results.collect::<Vec<_>>(),
        "not_run": [],
        "failure": null,
        "part": { "shard": format!("{number}/2"), "whole": CASES.map(id) },
    });
    let path = dir.join(format!("{number}.json"));
    fs::write(&path, run.to_string()).unwrap();
    path
}

/// Merges into DIR/merged; the exit code, and all that was said.
fn merge(dir: &Path, files: &[PathBuf]) -> (Option<i32>, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_xtask"))
        .args(["report", "merge"])
        .args(files)
        .arg("--output")
        .arg(dir.join("merged"))
        .output()
        .unwrap();
    let said = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8(said).unwrap())
}

#[test]
fn exit_codes_are_those_of_one_run() {
    let (passed, failed) = (
        json!({ "verdict": "passed" }),
        json!({ "verdict": "failed", "reason": "it went on" }),
    );
    let skipped = json!({ "verdict": "skipped", "reason": "no tool" });
    let table = [
        (
            [&passed, &passed],
            "f00d",
            0,
            "3 passed, 0 failed, 0 skipped",
        ),
        (
            [&passed, &failed],
            "f00d",
            1,
            "2 passed, 1 failed, 0 skipped",
        ),
        (
            [&passed, &skipped],
            "f00d",
            0,
            "2 passed, 0 failed, 1 skipped",
        ),
        ([&skipped, &skipped], "f00d", 4, "every case was skipped"),
        ([&passed, &passed], "beef", 2, "different kernels"),
    ];
    for ([first, second], fingerprint, code, words) in table {
        let dir = tempfile::tempdir().unwrap();
        let files = [
            shard(dir.path(), 1, first, "f00d"),
            shard(dir.path(), 2, second, fingerprint),
        ];
        let (ended, said) = merge(dir.path(), &files);
        assert_eq!(ended, Some(code), "{said}");
        assert!(said.contains(words), "{said}");
    }
}

#[test]
fn a_missing_shard_leaves_no_verdict_and_is_in_the_reports() {
    let dir = tempfile::tempdir().unwrap();
    let file = shard(dir.path(), 1, &json!({ "verdict": "passed" }), "f00d");
    let (code, said) = merge(dir.path(), std::slice::from_ref(&file));
    assert_eq!(code, Some(4), "{said}");
    assert!(
        said.contains("1 did not run: no results of shard 2/2"),
        "{said}"
    );
    let read = |name| fs::read_to_string(dir.path().join("merged").join(name)).unwrap();
    let ktap = read("ktap");
    assert!(ktap.contains("    1..3"), "{ktap}");
    assert!(
        ktap.ends_with("Bail out! no results of shard 2/2\n"),
        "{ktap}"
    );
    let junit = read("junit.xml");
    assert!(
        junit.contains("did not run: no results of shard 2/2"),
        "{junit}"
    );
    let again = merge(dir.path(), &[file.clone(), file.clone()]);
    assert_eq!(again, (code, said), "a run that is named twice counts once");
    let other = tempfile::tempdir().unwrap();
    let second = shard(
        other.path(),
        1,
        &json!({ "verdict": "skipped", "reason": "no" }),
        "f00d",
    );
    let both = merge(dir.path(), &[file, second]);
    assert_eq!(both.0, Some(2), "{}", both.1);
    assert!(both.1.contains("xfs a has two results"), "{}", both.1);
}
