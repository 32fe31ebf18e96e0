//! The folder of a benchmark, among those of test runs: `bench.json`, `bench.md`, plots.
//!
//! As theirs it has a hidden name until it is whole. The link `latest-bench` leads to the newest.

use anyhow::{Context, Result};
use camino::{Utf8Path, Utf8PathBuf};
use jiff::Zoned;
use serde::Serialize;

use super::plot::Plot;
use crate::report::store::{hidden, make_part, point, stamp, started};
use crate::vm::claim::{self, Claim};

const LATEST: &str = "latest-bench";

#[derive(Debug)]
pub struct Folder {
    runs: Utf8PathBuf,
    name: String,
    pub started: String,
    claim: Claim,
}

impl Folder {
    /// Opens a folder in `runs`, named after the time.
    pub fn open(runs: &Utf8Path) -> Result<Self> {
        let now = Zoned::now();
        fs_err::create_dir_all(runs)?;
        claim::sweep(runs, ".");
        let name = make_part(runs, &stamp(&now))?;
        Ok(Self {
            claim: Claim::new(&runs.join(hidden(&name)))?,
            runs: runs.to_owned(),
            name,
            started: started(&now),
        })
    }

    /// Where it is as long as it is open.
    pub fn path(&self) -> Utf8PathBuf {
        self.runs.join(hidden(&self.name))
    }

    /// Writes everything, and makes the folder visible. Returns its path.
    pub fn finish(
        self,
        document: &impl Serialize,
        markdown: &str,
        plots: &[Plot],
    ) -> Result<Utf8PathBuf> {
        let part = self.path();
        let json =
            serde_json::to_string(document).context("failed to write the numbers as JSON")?;
        fs_err::write(part.join("bench.json"), json)?;
        fs_err::write(part.join("bench.md"), markdown)?;
        for plot in plots {
            fs_err::write(part.join(&plot.name), &plot.svg)?;
        }
        let dir = self.runs.join(&self.name);
        self.claim.release()?;
        fs_err::rename(part, &dir)?;
        point(&self.runs, LATEST, &self.name)?;
        Ok(dir)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_benchmark_is_kept_whole_and_a_link_leads_to_it() {
        let dir = tempfile::tempdir().unwrap();
        let runs = Utf8Path::from_path(dir.path()).unwrap();
        let plot = Plot {
            name: "a.svg".into(),
            svg: "<svg/>".into(),
        };
        for number in [1, 2] {
            let folder = Folder::open(runs).unwrap();
            folder
                .finish(&number, "| a |", std::slice::from_ref(&plot))
                .unwrap();
        }
        let latest = runs.join(LATEST);
        assert_eq!(
            fs_err::read_to_string(latest.join("bench.json")).unwrap(),
            "2"
        );
        let mut names: Vec<_> = latest
            .read_dir_utf8()
            .unwrap()
            .map(|it| it.unwrap().file_name().to_owned())
            .collect();
        names.sort();
        assert_eq!(names, ["a.svg", "bench.json", "bench.md"]);
    }
}
