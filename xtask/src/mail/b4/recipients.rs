//! Who gets the mails: b4 finds them below the cover letter, whoever calls it.

use std::collections::BTreeSet;

use camino::Utf8Path;
use xshell::cmd;

use super::super::graft::BASE_BRANCH;
use super::super::letter::{People, Recipients, address, addressed, described, person};
use super::B4;
use crate::failure::{Kind, OrFail, Result};
use crate::host::files;

/// Whom b4 does not add to the recipients.
const EXCLUDED: &str = "b4.email-exclude";
/// `sh FILE TREE OPTIONS`: what the script says, without what follows an address. Some versions of Python read nothing at
/// all, as a precaution, out of lines one of which has a comma there, such as `(maintainer:A B (C, D))`.
pub(super) const ASK: &str = r#"cd "$1" || exit
shift
said=$(perl scripts/get_maintainer.pl "$@") || exit
printf '%s\n' "$said" | perl -pe 's/^((?:"(?:\\.|[^"\\])*"|[^"<>])*<[^<>]*>|\S+@\S+)\s+\(.*\)\s*$/$1\n/'
"#;

impl B4 {
    /// The recipients, each of them once.
    ///
    /// # Errors
    /// If a tree is no kernel's, or its script names nobody.
    pub(super) fn people(&self, recipients: &Recipients) -> Result<People> {
        let people = match recipients {
            Recipients::These(people) => people.clone(),
            Recipients::Maintainers(tree) => self.maintainers(tree)?,
        };
        Ok(people.once())
    }

    /// Puts the recipients where whoever calls `b4 send` finds them, and has b4 add none that trailers name.
    ///
    /// # Errors
    /// If the cover letter has what b4 would change.
    pub(super) fn send_to(&self, people: &People, cover: &str) -> Result<()> {
        let described = described(cover)?;
        let below = format!("{described}\n{}", people.lines());
        self.set(&self.of_branch("description"), &below)?;
        let messages = self.messages()?;
        let all = || people.to.iter().chain(&people.cc);
        let lines = messages.lines().chain(described.lines());
        // Letter by letter, as b4 takes those in other letters for somebody else.
        let named = lines.filter_map(|line| address(line.split_once(": ")?.1.split(" #").next()?));
        let others: BTreeSet<&str> = named
            .filter(|it| !all().any(|who| address(who) == Some(*it)))
            .collect();
        let others: Vec<&str> = others.into_iter().collect();
        self.set(EXCLUDED, &others.join(","))
    }

    /// Asks get_maintainer.pl by way of b4, which writes the answer below the cover letter.
    fn maintainers(&self, tree: &Utf8Path) -> Result<People> {
        let script = tree.join("scripts/get_maintainer.pl");
        if !script.exists() {
            return Err(Kind::Usage.error(format!("{tree} is no kernel tree: it has no {script}")));
        }
        // As b4 would call it in a work tree that has it; it reads the tree that it stands in.
        let options = "--nogit --nogit-fallback --nogit-chief-penguins --norolestats";
        let ask = self.home.join("get_maintainer.sh");
        files::write(&ask, ASK.as_bytes())?;
        let quoted = shlex::try_join(["sh", ask.as_str(), tree.as_str()]).or_fail(Kind::Usage)?;
        let line = format!("{quoted} {options}");
        let commands = [
            ("b4.send-auto-to-cmd", format!("{line} --nol")),
            ("b4.send-auto-cc-cmd", format!("{line} --nom")),
        ];
        let said = self.run_with(&commands, &["prep", "--auto-to-cc"])?;
        let description = self.of_branch("description");
        let found = self.git.read(cmd!(self.git, "git config {description}"))?;
        let mut people = addressed(&found);
        if people == People::default() {
            return Err(Kind::Machinery.error(format!("{script} names nobody; b4 said:\n{said}")));
        }
        let mut all = people.to.iter().chain(&people.cc);
        if let Some(who) = all.find(|who| address(who).is_none()) {
            return Err(Kind::Machinery.error(format!(
                "{script} says what b4 takes for {who:?}, to whom nobody can write; b4 said:\n{said}"
            )));
        }
        people.cc.extend(self.named_in_patches()?);
        Ok(people)
    }

    /// Authors, and the people in trailers.
    fn named_in_patches(&self) -> Result<Vec<String>> {
        let format = "%an <%ae>%n%(trailers:only,unfold,valueonly)";
        let range = format!("{BASE_BRANCH}..");
        let named = cmd!(self.git, "git log --reverse --format={format} {range}");
        Ok(self.git.read(named)?.lines().filter_map(person).collect())
    }
}
