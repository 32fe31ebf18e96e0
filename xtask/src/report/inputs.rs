//! Runs that the command line names: files or folders, each run once. They may be old, half, or from anywhere.

use std::io::Read;

use anyhow::{Context, Result, bail};
use camino::{Utf8Path, Utf8PathBuf};

use super::model::Run;

/// The file of a run that has all of it.
pub const RESULTS: &str = "results.json";
/// No run is larger; in bytes.
const MOST: u64 = 1 << 28;

/// A run, and where it was found.
#[derive(Debug)]
pub struct Input {
    pub path: Utf8PathBuf,
    pub run: Run,
}

impl Input {
    /// # Errors
    /// Each names the file.
    pub fn read(path: Utf8PathBuf) -> Result<Self> {
        let mut text = String::new();
        let mut file = fs_err::File::open(&path)?.take(MOST);
        let read = file.read_to_string(&mut text);
        read.with_context(|| format!("cannot read {path}"))?;
        if file.limit() == 0 {
            bail!("{path} is larger than any {RESULTS}");
        }
        let run = serde_json::from_str(&text).with_context(|| format!("{path} is no {RESULTS}"))?;
        Ok(Self { path, run })
    }

    /// Where it is, as short as that can be said.
    pub fn name(&self) -> &str {
        let file = format!("/{RESULTS}");
        let path = self.path.as_str();
        path.strip_suffix(&file).unwrap_or(path)
    }
}

/// What was named, and what was passed over, in words.
#[derive(Debug, Default)]
pub struct Inputs {
    pub runs: Vec<Input>,
    pub passed_over: Vec<String>,
}

/// Reads all runs that are named: a file, the folder of a run, or a folder of such folders.
///
/// A run that is found again, by a link such as `latest` or as a copy, counts once.
///
/// # Errors
/// If one that is named is none, or a folder has none. Each names the file.
pub fn read(named: &[Utf8PathBuf]) -> Result<Inputs> {
    let mut inputs = Inputs::default();
    let mut seen = Vec::new();
    for path in named {
        for file in files(path, &mut inputs.passed_over)? {
            let real = file.canonicalize_utf8();
            let real = real.with_context(|| format!("cannot find {file}"))?;
            if seen.contains(&real) {
                continue;
            }
            seen.push(real);
            let input = Input::read(file)?;
            if inputs.runs.iter().all(|other| other.run != input.run) {
                inputs.runs.push(input);
            }
        }
    }
    Ok(inputs)
}

fn files(path: &Utf8Path, passed_over: &mut Vec<String>) -> Result<Vec<Utf8PathBuf>> {
    if !fs_err::metadata(path)?.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let own = path.join(RESULTS);
    if own.exists() {
        return Ok(vec![own]);
    }
    if let Some(why) = unfinished(path) {
        bail!(why);
    }
    let mut folders = Vec::new();
    for entry in path
        .read_dir_utf8()
        .with_context(|| format!("cannot read {path}"))?
    {
        let entry = entry.with_context(|| format!("cannot read {path}"))?;
        folders.push(entry.into_path());
    }
    folders.sort();
    passed_over.extend(folders.iter().filter_map(|folder| unfinished(folder)));
    let files = folders.iter().map(|folder| folder.join(RESULTS));
    let files: Vec<_> = files.filter(|file| file.exists()).collect();
    if files.is_empty() {
        bail!("there is no {RESULTS} in {path}, nor in a folder in it");
    }
    Ok(files)
}

/// What is to be said of the folder of a run that has no results.
fn unfinished(folder: &Utf8Path) -> Option<String> {
    let is_run = !folder.join(RESULTS).exists() && folder.join("console.log").exists();
    is_run.then(|| {
        format!(
            "{folder} has no {RESULTS}: its run was killed or goes on; what it came to is in {folder}/ktap"
        )
    })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use harness::wire::Filesystem::Ext3;
    use serde_json::{Value, json};

    use super::*;
    use crate::event::Verdict;
    use crate::report::model::samples;

    fn document(case: &str) -> Value {
        let result = samples::result(Ext3, case, 0, Verdict::Passed);
        serde_json::to_value(samples::run(&[], vec![result])).unwrap()
    }

    fn write(folder: &Utf8Path, document: &Value) {
        fs_err::create_dir_all(folder).unwrap();
        fs_err::write(folder.join(RESULTS), document.to_string()).unwrap();
    }

    #[test]
    fn each_run_counts_once_however_it_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let runs = Utf8Path::from_path(dir.path()).unwrap();
        write(&runs.join("1"), &document("a"));
        write(&runs.join("2"), &document("b"));
        write(&runs.join("copy"), &document("a"));
        symlink("2", runs.join("latest")).unwrap();
        symlink("nowhere", runs.join("dangling")).unwrap();
        fs_err::create_dir(runs.join(".3.part")).unwrap();
        fs_err::write(runs.join(".3.part/console.log"), "").unwrap();
        fs_err::write(runs.join("notes.txt"), "").unwrap();
        let table: &[(&[&str], &[&str])] = &[
            (
                &["1/results.json", "2/results.json", "latest/results.json"],
                &["1", "2"],
            ),
            (&["latest", "2", "1", "1"], &["latest", "1"]),
            (&["", "latest/results.json"], &["1", "2"]),
            (&["1", "copy", "copy/results.json"], &["1"]),
        ];
        for (named, wanted) in table {
            let named: Vec<_> = named.iter().map(|name| runs.join(name)).collect();
            let inputs = read(&named).unwrap();
            let names = inputs
                .runs
                .iter()
                .map(|it| it.name().trim_start_matches(runs.as_str()));
            let names: Vec<_> = names.map(|name| name.trim_start_matches('/')).collect();
            assert_eq!(names, *wanted, "{named:?}");
        }
        let all = read(&[runs.to_owned()]).unwrap();
        assert_eq!(all.passed_over.len(), 1, "{all:?}");
        assert!(all.passed_over[0].contains(".3.part has no results.json"));
    }

    /// The sample with one of its values replaced.
    fn with(pointer: &str, value: Value) -> String {
        let mut document = document("a");
        *document.pointer_mut(pointer).unwrap() = value;
        document.to_string()
    }

    #[test]
    fn what_is_no_run_is_an_error_that_names_the_file() {
        let dir = tempfile::tempdir().unwrap();
        let file = Utf8Path::from_path(dir.path()).unwrap().join(RESULTS);
        let whole = document("a").to_string();
        let took = "/results/0/took";
        let mut bad = vec![
            String::new(),
            "[]".into(),
            "null".into(),
            "[".repeat(100_000),
            with(took, json!(1)),
            with(took, json!(null)),
            with(took, json!("1 s")),
            with(took, json!({ "secs": -1, "nanos": 0 })),
            with(took, json!({ "secs": 1.5, "nanos": 0 })),
            with(took, json!({ "secs": 1e300, "nanos": 0 })),
            with(took, json!({ "secs": u64::MAX, "nanos": u32::MAX })),
            with("/results/0/took/secs", json!(0)).replace("\"secs\":0", "\"secs\":NaN"),
            with("/results/0/id/repeat", json!(-1)),
            with("/results/0/id/filesystem", json!("zfs")),
            with("/results/0/verdict", json!({ "verdict": "great" })),
            with("/started", json!(5)),
            with("/kernel", json!({})),
        ];
        bad.extend(
            (0..whole.len())
                .step_by(7)
                .map(|end| whole[..end].to_owned()),
        );
        for text in bad {
            fs_err::write(&file, &text).unwrap();
            let error = read(std::slice::from_ref(&file)).unwrap_err();
            assert!(format!("{error:#}").contains(file.as_str()), "{error:#}");
        }
        fs_err::write(&file, b"\xff\xfe").unwrap();
        let error = read(&[file]).unwrap_err();
        assert!(format!("{error:#}").contains(RESULTS), "{error:#}");
    }

    #[test]
    fn what_is_no_file_is_an_error_that_names_it() {
        let dir = tempfile::tempdir().unwrap();
        let runs = Utf8Path::from_path(dir.path()).unwrap();
        fs_err::create_dir(runs.join("killed")).unwrap();
        fs_err::write(runs.join("killed/console.log"), "").unwrap();
        fs_err::create_dir(runs.join("empty")).unwrap();
        for (name, words) in [
            ("killed", "its run was killed or goes on"),
            ("empty", "no results.json in"),
            ("nonesuch", "nonesuch"),
        ] {
            let error = read(&[runs.join(name)]).unwrap_err();
            assert!(format!("{error:#}").contains(words), "{error:#}");
        }
        let endless = read(&["/dev/zero".into()]).unwrap_err();
        assert!(
            format!("{endless:#}").contains("/dev/zero is larger"),
            "{endless:#}"
        );
    }

    #[test]
    fn a_time_that_is_none_is_no_panic() {
        let ever = json!({ "secs": u64::MAX, "nanos": 999_999_999 });
        let dir = tempfile::tempdir().unwrap();
        let file = Utf8Path::from_path(dir.path()).unwrap().join(RESULTS);
        let mut document = document("a");
        document["took"] = ever.clone();
        document["results"][0]["took"] = ever;
        let again = document["results"][0].clone();
        document["results"].as_array_mut().unwrap().push(again);
        fs_err::write(&file, document.to_string()).unwrap();
        let run = Input::read(file).unwrap().run;
        crate::report::junit::document(&run).unwrap();
        crate::report::ktap::document(&run);
        crate::report::terminal::case_line(&run.results[0]);
    }
}
