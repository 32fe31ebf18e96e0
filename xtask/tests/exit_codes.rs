//! What a wrong command line ends in: exit code 2, and words that help.

use assert_cmd::Command;

/// Runs the binary; its exit code and what it wrote to standard error.
fn xtask(arguments: &[&str]) -> (Option<i32>, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_xtask"))
        .args(arguments)
        .output()
        .unwrap();
    (
        output.status.code(),
        String::from_utf8(output.stderr).unwrap(),
    )
}

fn is_usage_error(arguments: &[&str], words: &str) {
    let (code, said) = xtask(arguments);
    assert_eq!(code, Some(2), "{arguments:?}: {said}");
    assert!(said.contains(words), "{arguments:?}: {said}");
}

#[test]
fn an_unknown_base_lists_the_known() {
    is_usage_error(&["test-kernel", "--base", "5.4"], "known: 6.12");
}

#[test]
fn all_bases_are_for_test_kernel_without_a_tree() {
    is_usage_error(
        &["test-kernel", "--base", "all", "--tree", "."],
        "--base all is several",
    );
    is_usage_error(&["shell", "--base", "all"], "unknown --base");
}

#[test]
fn a_filter_that_matches_nothing_names_what_is_near() {
    is_usage_error(
        &["test-kernel", "--filter", "writes_stop_wirte"],
        "near it: writes_stop_write",
    );
    is_usage_error(&["test-kernel", "--filter", "("], "unclosed group");
}

#[test]
fn an_unknown_series_lists_the_known() {
    is_usage_error(&["test-kernel", "--series", "nonesuch"], "(known: ");
}

#[test]
fn an_unknown_filesystem_lists_the_known() {
    is_usage_error(&["test-kernel", "--fs", "nofs"], "known: ext3, xfs, ext4");
}

#[test]
fn flags_that_exclude_each_other() {
    is_usage_error(
        &["test-kernel", "--stock", "--series", "generic-freeze"],
        "cannot be used with",
    );
    is_usage_error(
        &["test-kernel", "--stock", "--compare", "stock"],
        "cannot be used with",
    );
    is_usage_error(&["test-kernel", "--repeat", "0"], "not in 1..");
    is_usage_error(
        &["test-kernel", "--fail-fast", "--compare", "stock"],
        "cannot be used with",
    );
}

#[test]
fn mutants_of_nothing() {
    for (mistake, words) in [
        (
            &["--only", "nonesuch"][..],
            "matches no mutant; --list names all",
        ),
        (&["--only", "("], "unclosed group"),
        (&["--base", "5.4"], "known: 6.12"),
        (&["--config", "nonesuch"], "known: "),
        (&["--fs", "nofs"], "known: ext3, xfs, ext4"),
    ] {
        is_usage_error(&[&["mutants"], mistake].concat(), words);
        is_usage_error(&[&["mutants", "--list"], mistake].concat(), words);
    }
    assert_eq!(
        xtask(&["mutants", "--list", "--only", "deadline"]).0,
        Some(0)
    );
}

#[test]
fn bisections_of_nothing() {
    let tree = [
        "bisect",
        "--tree",
        "/nonexistent",
        "--good",
        "a",
        "--bad",
        "b",
    ];
    let with = |more: &[&str], said: &str| is_usage_error(&[&tree[..], more].concat(), said);
    with(&["--filter", "dm_case_a"], "/nonexistent");
    with(&["--filter", "nonesuch"], "matches no case");
    with(
        &["--filter", "dm_case_a", "--control", "nonesuch"],
        "no such case",
    );
    with(
        &["--filter", "dm_case_a", "--control", "dm_case_a"],
        "narrower",
    );
    with(&["--filter", "dm_case_a", "--runs", "0"], "--runs");
    is_usage_error(
        &[
            "bisect",
            "--filter",
            "dm_case_a",
            "--good",
            "a",
            "--bad",
            "b",
        ],
        "--tree",
    );
    is_usage_error(
        &["bisect", "--filter", "dm_case_a", "--series", "nonesuch"],
        "(known: ",
    );
    is_usage_error(
        &["bisect", "--filter", "dm_case_a", "--base", "5.4"],
        "known: 6.12",
    );
}

#[test]
fn stock_against_stock() {
    is_usage_error(&["bench", "kernel", "--stock"], "add --against itself");
}

#[test]
fn a_tree_that_is_not_there() {
    is_usage_error(
        &["test-kernel", "--stock", "--tree", "/nonexistent"],
        "/nonexistent",
    );
}

#[test]
fn a_tree_that_is_no_kernel() {
    let dir = tempfile::tempdir().unwrap();
    is_usage_error(
        &[
            "test-kernel",
            "--stock",
            "--tree",
            dir.path().to_str().unwrap(),
        ],
        "no kernel tree",
    );
}

/// What a run refuses, its list refuses as well, and nothing is listed.
#[test]
fn a_list_is_refused_as_the_run_is() {
    let commands: &[&[&str]] = &[&["test-kernel"], &["series", "check"], &["bench", "kernel"]];
    let mistakes: &[(&[&str], &str)] = &[
        (&["--base", "5.4"], "known: 6.12"),
        (&["--series", "nonesuch"], "(known: "),
        (&["--series", "../6.1/generic-freeze"], "takes a name"),
        (
            &["--series", "generic-freeze", "--series", "generic-freeze"],
            "given twice",
        ),
        (&["--config", "nonesuch"], "known: "),
        (&["--config", ""], "takes a name"),
        (&["--tree", "/nonexistent"], "/nonexistent"),
        (&["--tree", env!("CARGO_MANIFEST_DIR")], "no kernel tree"),
        (
            &["--filter", "freeze", "--filter", "nonesuch"],
            "\"nonesuch\" matches no",
        ),
        (&["--filter", "FREEZE"], "(?i)FREEZE"),
        (&["--fs", "nofs"], "known: ext3, xfs, ext4"),
    ];
    for command in commands {
        for (mistake, words) in mistakes {
            is_usage_error(&[command, *mistake].concat(), words);
            is_usage_error(&[command, *mistake, &["--list"]].concat(), words);
        }
    }
}

/// A flag that a command can only refuse is none of its flags.
#[test]
fn help_has_what_a_command_takes() {
    let table: &[(&[&str], &str)] = &[
        (&["series", "check"], "--stock"),
        (&["bench", "tool"], "--tree"),
        (&["shell"], "--list"),
    ];
    for (command, flag) in table {
        let output = Command::new(env!("CARGO_BIN_EXE_xtask"))
            .args(*command)
            .arg("--help")
            .output()
            .unwrap();
        let help = String::from_utf8(output.stdout).unwrap();
        let has = help.lines().any(|line| line.trim_start().starts_with(flag));
        assert!(!has, "{command:?} {flag}");
    }
}

/// What people look for in it.
#[test]
fn help_has_examples_and_exit_codes() {
    let commands: &[&[&str]] = &[
        &[],
        &["test-kernel"],
        &["shell"],
        &["mutants"],
        &["bench", "kernel"],
        &["bench", "tool"],
        &["series", "check"],
        &["doctor"],
        &["clean"],
        &["ci"],
    ];
    for command in commands {
        let output = Command::new(env!("CARGO_BIN_EXE_xtask"))
            .args(*command)
            .arg("--help")
            .output()
            .unwrap();
        let help = String::from_utf8(output.stdout).unwrap();
        for part in ["Examples:", "Exit codes:"] {
            assert!(help.contains(part), "{command:?} --help has no {part}");
        }
    }
}

/// As `git bisect run` reads them, nothing but a case that failed is between 1 and 124.
#[test]
fn a_bisection_stops_at_a_wrong_command_line() {
    for mistake in [
        &["--nonesuch"][..],
        &["--filter", "nonesuch"],
        &["--tree", "/nonexistent"],
        &["--repeat", "0"],
    ] {
        let (code, said) = xtask(&[&["test-kernel", "--bisect"], mistake].concat());
        assert_eq!(code, Some(128), "{mistake:?}: {said}");
        assert!(said.contains(mistake[0]), "{mistake:?}: {said}");
    }
    assert_eq!(xtask(&["test-kernel", "--bisect", "--list"]).0, Some(0));
}

#[test]
fn a_report_that_is_no_folder() {
    let line = ["bisect", "--filter", "^dm_case_a$", "--report"];
    is_usage_error(
        &[&line[..], &["Cargo.toml"]].concat(),
        "--report Cargo.toml is no folder",
    );
}

#[test]
fn a_shell_runs_a_line_that_reaches_the_guest() {
    let long = "x".repeat(5000);
    is_usage_error(&["shell", "--", &long], "longer than");
}

#[test]
fn what_there_is_no_part_of() {
    is_usage_error(&["clean", "kernels"], "builds");
    is_usage_error(&["clean", "--all", "builds"], "cannot be used with");
}

#[test]
fn the_list_needs_no_kernel() {
    let output = Command::new(env!("CARGO_BIN_EXE_xtask"))
        .args(["test-kernel", "--list", "--fs", "xfs"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(0));
    let listed = String::from_utf8(output.stdout).unwrap();
    assert!(
        listed.lines().any(|line| line.starts_with("dm_case_c ")),
        "{listed}"
    );
}

#[test]
fn a_check_of_nothing() {
    let check = |words: &[&'static str]| [&["series", "check"], words].concat();
    is_usage_error(&check(&["--stock"]), "unexpected argument");
    is_usage_error(&check(&["--base", "5.4"]), "known: 6.12");
    is_usage_error(&check(&["--series", "nonesuch"]), "(known: ");
    is_usage_error(&check(&["--filter", "nonesuch"]), "matches no case");
}

#[test]
fn a_diff_of_what_is_not_there() {
    let diff = |words: &[&'static str]| [&["series", "diff", "6.1"], words].concat();
    is_usage_error(&diff(&[]), "<BASE>");
    is_usage_error(&diff(&["5.4"]), "known: 6.12");
    is_usage_error(&diff(&["6.12", "--series", "nonesuch"]), "(known: ");
    is_usage_error(&diff(&["6.12", "--filter", "nonesuch"]), "matches no patch");
}

#[test]
fn a_shard_is_one_of_its_number_and_has_something_to_do() {
    is_usage_error(&["test-kernel", "--shard", "4/3"], "from 1 to 3");
    is_usage_error(
        &["test-kernel", "--filter", "^dm_case_a$", "--shard", "3/3"],
        "nothing to do: there are 2 cases",
    );
}

#[test]
fn what_is_no_results() {
    let merge = |file| is_usage_error(&["report", "merge", file], file);
    merge("/nonexistent/results.json");
    // Tests run in the folder of their package.
    merge("Cargo.toml");
    is_usage_error(&["report", "merge"], "RESULTS.json");
    is_usage_error(&["report", "table", "no-such.json"], "no-such.json");
}
