//! What was written of runs, put together.

use camino::{Utf8Path, Utf8PathBuf};

use super::test_kernel;
use crate::failure::{Kind, OrFail, PASSED, Result};
use crate::host::session::Session;
use crate::report::inputs::{self, Input};
use crate::report::store::{self, Finished};
use crate::report::{markdown, merge, output, terminal};

/// Makes one run of several, in this folder or a new one; its exit code is that of the whole.
pub fn merge(results: &[Utf8PathBuf], output: Option<&Utf8Path>, session: &Session) -> Result<u8> {
    let inputs = read(results)?;
    let run = merge::merge(&inputs).or_fail(Kind::Usage)?;
    let Finished {
        run,
        folder,
        written,
    } = match output {
        Some(dir) => store::write_into(dir, run).or_fail(Kind::Usage)?,
        None => store::Folder::open(&session.layout.runs())?.publish(run),
    };
    terminal::summary(&run, &folder);
    written?;
    match &run.failure {
        Some(failure) => Err(Kind::Machinery.error(failure)),
        None => {
            test_kernel::shows_all(&run)?;
            test_kernel::verdict(&run)
        }
    }
}

/// Prints runs side by side.
pub fn table(results: &[Utf8PathBuf]) -> Result<u8> {
    let inputs = read(results)?;
    let columns: Vec<_> = inputs.iter().map(|it| (it.name(), &it.run)).collect();
    terminal::text(&markdown::table(&columns));
    for note in markdown::incomplete(&columns) {
        terminal::text(&note);
    }
    Ok(PASSED)
}

fn read(results: &[Utf8PathBuf]) -> Result<Vec<Input>> {
    let inputs = inputs::read(results).or_fail(Kind::Usage)?;
    for words in &inputs.passed_over {
        output::warn(words);
    }
    Ok(inputs.runs)
}
