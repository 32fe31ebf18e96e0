//! What has to be applied before the mails.

use xshell::cmd;

use super::super::graft::Grafted;
use super::B4;
use crate::failure::{Kind, Result};

/// A red, blinking mark: a dependency of a series is not met.
const UNMET: &str = "\u{1b}[31;5m\u{25cf}";

impl B4 {
    /// Whether what the series depends on is there; b4's words. It looks on a server, and without one it finds nothing.
    ///
    /// What is below the series in its own repository is there.
    pub fn check_dependencies(&self) -> Result<String> {
        let said = self.run(&["prep", "--check-deps"])?;
        match said.contains(UNMET) && self.grafted.first == self.grafted.base {
            true => Err(Kind::Usage.error(format!("the series lacks what it depends on:\n{said}"))),
            false => Ok(said),
        }
    }

    /// As b4 keeps it: what the letter names, the patches below, and the public commit that both begin after.
    pub(super) fn needed(&self, dependencies: &[String]) -> Result<Vec<String>> {
        let base = format!("base-commit: {}", self.grafted.base);
        let other = |it: &&String| it.starts_with("base-commit:") && **it != base;
        if let Some(other) = dependencies.iter().find(other) {
            return Err(Kind::Usage.error(format!("{other}: the mails have {base}")));
        }
        let mut needed = dependencies.to_vec();
        needed.retain(|it| *it != base);
        for dependency in &needed {
            self.depend_on(dependency)?;
        }
        needed.extend(self.below()?);
        if !needed.is_empty() {
            needed.push(base);
        }
        Ok(needed)
    }

    /// Sees to it that b4 asks no server about something that the series depends on.
    ///
    /// It does not for a `change-id:` if there is the tag that it makes of what it has sent. The patches are told of by
    /// [`Self::below`], and twice nobody could apply them; so the tag has a commit that changes nothing.
    fn depend_on(&self, dependency: &str) -> Result<()> {
        let parts: Vec<&str> = dependency.split(':').map(str::trim).collect();
        let (id, version) = match parts[..] {
            ["patch-id", _] => return Ok(()),
            ["change-id", id, version] => (id, version),
            _ => {
                return Err(Kind::Usage.error(format!(
                    "{dependency:?}: name what the series depends on by `change-id: ID:vN` or `patch-id: ID`"
                )));
            }
        };
        let (git, Grafted { first, .. }) = (&self.git, &self.grafted);
        let tree = format!("{first}^{{tree}}");
        let commit = git.read(cmd!(git, "git commit-tree {tree} -p {first} -m {id}"))?;
        let text = format!("{id}\n\n{version}\n\nbase-commit: {first}\nchange-id: {id}\n");
        let tag = cmd!(
            git,
            "git tag --force --annotate --file=- sent/{id}-{version} {commit}"
        );
        git.pipe(tag, text.as_bytes())?;
        Ok(())
    }

    /// The patches between the public commit and the mailed ones, as b4 names what a series depends on.
    pub(super) fn below(&self) -> Result<Vec<String>> {
        let Grafted { base, first, .. } = &self.grafted;
        // As b4 makes mails of them, by whose ids servers know patches.
        let patches = cmd!(
            self.git,
            "git format-patch --stdout --binary --find-renames {base}..{first}"
        );
        let patches = self.git.output(patches, b"")?;
        if !patches.status.success() {
            let said = patches.stderr();
            return Err(Kind::Machinery.error(format!("no patches of {base}..{first}: {said}")));
        }
        let ids = cmd!(self.git, "git patch-id --stable");
        let ids = self.git.pipe(ids, &patches.stdout)?;
        let ids = ids.lines().filter_map(|line| line.split(' ').next());
        Ok(ids.map(|id| format!("patch-id: {id}")).collect())
    }
}
