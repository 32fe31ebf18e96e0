//! What to do about edits of a work tree that does not follow its patches any more.

use camino::Utf8Path;

use super::refs::{BASE_REF, WANTED_REF};

#[derive(Debug)]
pub struct Advice<'a> {
    pub path: &'a Utf8Path,
    pub tip: &'a str,
    /// The command that writes its commits as patch files, if there is one for it.
    pub refresh: Option<&'a str>,
    /// Patch files; none if it is the source that changed.
    pub changed: &'a [String],
    pub uncommitted: bool,
    /// Whether the edits are commits on top of what the patches were.
    pub on_top: bool,
}

impl Advice<'_> {
    /// In this order; each way was walked in a test.
    pub fn text(&self) -> String {
        let Self { path, tip, .. } = self;
        let commit = match self.uncommitted {
            true => format!("git -C {path} add --all && git -C {path} commit && "),
            false => String::new(),
        };
        let mut ways = Vec::new();
        match (self.refresh, self.changed) {
            (Some(refresh), []) => ways.push(format!("to keep them: {commit}{refresh}, and this again")),
            (Some(refresh), _) => {
                if self.on_top {
                    ways.push(format!(
                        "to keep both: {commit}git -C {path} rebase --onto {WANTED_REF} {tip}, and this again"
                    ));
                }
                ways.push(format!(
                    "to keep the edits, and lose what changed in the patch files: {commit}{refresh} --dry-run, which shows \
                     it, the same with --force, and this again"
                ));
            }
            (None, _) => ways.push(format!(
                "to keep them: {commit}git -C {path} format-patch {BASE_REF}, which writes them as mails"
            )),
        }
        ways.push(format!("to lose the edits: remove {path}, and this again"));
        ways.iter()
            .map(|way| format!("  {way}"))
            .collect::<Vec<_>>()
            .join("\n")
    }
}
