//! What a benchmark leaves: `bench.json`, `bench.md`, plots.

use anyhow::{Context, Result};
use camino::Utf8PathBuf;
use serde::Serialize;

use super::findings::Findings;
use super::model::Benchmark;
use super::plot::Plot;
use crate::report::store::{Extent, Folder};

/// What `bench.json` of `bench kernel` holds.
#[derive(Clone, Debug, Serialize)]
pub struct Document<'a> {
    pub run: &'a Benchmark,
    /// Made from `run`, and kept for whoever does not want to.
    pub findings: &'a Findings,
}

/// Writes everything, and makes the folder visible. Returns its path.
pub fn write(
    folder: Folder,
    document: &impl Serialize,
    markdown: &str,
    plots: &[Plot],
    extent: Extent,
) -> Result<Utf8PathBuf> {
    let part = folder.path();
    let json = serde_json::to_string(document).context("failed to write the numbers as JSON")?;
    fs_err::write(part.join("bench.json"), json)?;
    fs_err::write(part.join("bench.md"), markdown)?;
    for plot in plots {
        fs_err::write(part.join(&plot.name), &plot.svg)?;
    }
    folder.reveal(extent)
}

#[cfg(test)]
mod tests {
    use camino::Utf8Path;

    use super::*;

    #[test]
    fn a_benchmark_is_kept_whole_and_a_link_leads_to_it() {
        let dir = tempfile::tempdir().unwrap();
        let parent = Utf8Path::from_path(dir.path()).unwrap();
        let plot = Plot {
            name: "a.svg".into(),
            svg: "<svg/>".into(),
        };
        for number in [1, 2] {
            let folder = Folder::open(parent).unwrap();
            write(
                folder,
                &number,
                "| a |",
                std::slice::from_ref(&plot),
                Extent::Whole,
            )
            .unwrap();
        }
        let latest = parent.join("latest");
        let json = fs_err::read_to_string(latest.join("bench.json")).unwrap();
        assert_eq!(json, "2");
        let mut names: Vec<_> = latest
            .read_dir_utf8()
            .unwrap()
            .map(|it| it.unwrap().file_name().to_owned())
            .collect();
        names.sort();
        assert_eq!(names, ["a.svg", "bench.json", "bench.md"]);
    }
}
