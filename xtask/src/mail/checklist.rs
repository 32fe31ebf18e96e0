//! What is left for the person who sends: `CHECKLIST`. This program signs nothing off and sends nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::sync::LazyLock;

use camino::Utf8Path;
use regex::Regex;

use super::fold;
use super::letter::{address, same};
use super::record::{self, Record};
use crate::kernel::refs::BASE_REF;
use crate::kernel::tree::flags;
use crate::series::Patch;
use crate::words::count;

/// What a list is written from.
#[derive(Clone, Copy, Debug)]
pub struct Mailing<'a> {
    pub version: u32,
    pub base: &'a str,
    /// Those of the work tree, in order; the last is mailed.
    pub series: &'a [String],
    pub patches: &'a [Patch],
    /// The work tree with the commits of the patches.
    pub tree: &'a Utf8Path,
    /// Those of `series` below the last that are not known to be sent as they are.
    pub unsent: &'a [String],
    /// Whether others have the base, as far as can be told.
    pub published: bool,
    /// As git would send: `A Person <a@example.org>`.
    pub identity: Option<&'a str>,
    /// Addresses of all To and Cc.
    pub recipients: &'a [String],
    /// Versions before this one, the newest first.
    pub earlier: &'a [Record],
    /// Where the mails are: `target/mail/vN`.
    pub mails: &'a Utf8Path,
    /// The repository with b4's branch of the series.
    pub repository: &'a Utf8Path,
    /// What checkpatch.pl says, but for sign-offs.
    pub complaints: &'a [String],
    /// Our own: that of a distribution may be too old.
    pub b4: &'a Utf8Path,
}

/// Past this many mails people stop reading.
const MANY: usize = 15;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mark {
    Done,
    Todo,
    /// What nobody but a person can tell; it is not counted as left to do.
    Asked,
}

#[derive(Debug)]
struct Item {
    mark: Mark,
    what: String,
    /// Patches or lines that it is about.
    of: Vec<String>,
    /// What to type.
    how: Vec<String>,
}

impl Item {
    fn new(mark: Mark, what: impl Into<String>) -> Self {
        Self {
            mark,
            what: what.into(),
            of: Vec::new(),
            how: Vec::new(),
        }
    }

    fn todo(what: impl Into<String>) -> Self {
        Self::new(Mark::Todo, what)
    }

    fn done(what: impl Into<String>) -> Self {
        Self::new(Mark::Done, what)
    }

    fn asked(what: impl Into<String>) -> Self {
        Self::new(Mark::Asked, what)
    }

    fn of(self, of: Vec<String>) -> Self {
        Self { of, ..self }
    }

    fn how(self, how: Vec<String>) -> Self {
        Self { how, ..self }
    }
}

/// The commits of the patches that are mailed, in the work tree.
#[derive(Clone, Copy, Debug)]
pub struct Commits<'a> {
    pub base: &'a str,
    /// Those of the work tree, in order.
    pub series: &'a [String],
    pub tree: &'a Utf8Path,
    /// How many of the commits are the last series.
    pub patches: usize,
}

impl Commits<'_> {
    /// Has the user sign off all of them.
    pub fn sign(&self) -> String {
        self.rebase("--signoff")
    }

    /// Makes the user the author of all of them.
    pub fn own(&self) -> String {
        self.rebase("--exec 'git commit --amend --no-edit --reset-author'")
    }

    /// Brings them into the patch files.
    pub fn refresh(&self) -> String {
        format!(
            "cargo xtask series refresh{}",
            flags(self.base, self.series)
        )
    }

    fn rebase(&self, options: &str) -> String {
        let tree = quoted(self.tree.as_str());
        let after = match self.series.len() {
            0 | 1 => BASE_REF.to_owned(),
            _ => format!("HEAD~{}", self.patches),
        };
        format!("git -C {tree} rebase {options} {after}")
    }
}

impl<'a> Mailing<'a> {
    fn commits(&self) -> Commits<'a> {
        let Self {
            base, series, tree, ..
        } = *self;
        Commits {
            base,
            series,
            tree,
            patches: self.patches.len(),
        }
    }
}

fn quoted(word: &str) -> String {
    shlex::try_quote(word).map_or_else(|_| word.to_owned(), Into::into)
}

/// Its name, beside the mails.
pub const FILE: &str = "CHECKLIST";

/// The file, and how much is left to do.
#[derive(Debug)]
pub struct List {
    pub text: String,
    pub left: usize,
}

/// What the file begins with; no other series has it.
pub fn title(base: &str, series: &str, version: u32) -> String {
    format!("Before v{version} of {base}/{series} is sent")
}

/// The whole file.
pub fn list(mailing: &Mailing<'_>) -> List {
    let name = mailing.series.last().map_or("", String::as_str);
    let title = title(mailing.base, name, mailing.version);
    let mut text = format!("{title}: [ ] is to be done, [x] is, and of [?] only you can tell.\n\n");
    let items = items(mailing);
    let left = items.iter().filter(|item| item.mark == Mark::Todo).count();
    for item in items {
        let mark = match item.mark {
            Mark::Done => 'x',
            Mark::Todo => ' ',
            Mark::Asked => '?',
        };
        let what = format!("[{mark}] {}", item.what);
        let _ = writeln!(text, "{}", fold(&what, "    "));
        for line in item.of {
            let _ = writeln!(text, "      {line}");
        }
        for line in item.how {
            let _ = writeln!(text, "    $ {line}");
        }
    }
    text += &format!("\n{}", ways(mailing));
    List { text, left }
}

fn items(mailing: &Mailing<'_>) -> Vec<Item> {
    let mut items = vec![signed(mailing), identity(mailing), authors(mailing)];
    items.extend(private(mailing));
    items.extend(below_unsent(mailing.unsent).map(Item::todo));
    items.extend(before(mailing));
    items.extend(assisted(mailing));
    items.push(fixes(mailing));
    items.push(checkpatch(mailing));
    items.extend(uapi(mailing));
    items.extend(xfs(mailing));
    items.extend(selftests(mailing));
    items.extend(many(mails(mailing.patches.len())).map(Item::asked));
    items
}

/// How many mails there are: a patch that is alone carries the cover letter.
pub fn mails(patches: usize) -> usize {
    if patches > 1 { patches + 1 } else { patches }
}

/// Lists that get_maintainer.pl does not name, for what the patches change.
pub fn lists(patches: &[Patch]) -> &'static [&'static str] {
    match patches.iter().any(|patch| !of_uapi(patch).is_empty()) {
        true => &["linux-api@vger.kernel.org", "linux-man@vger.kernel.org"],
        false => &[],
    }
}

/// What stands after a key in each line of a message that begins with it.
fn values<'a>(message: &'a str, key: &'a str) -> impl Iterator<Item = &'a str> {
    message.lines().filter_map(move |line| {
        let (head, value) = line.split_once(':')?;
        head.eq_ignore_ascii_case(key).then(|| value.trim())
    })
}

fn message(patch: &Patch) -> String {
    String::from_utf8_lossy(&patch.message).into_owned()
}

pub fn author(patch: &Patch) -> String {
    let [name, email] = [&patch.author, &patch.email].map(|it| it.to_string_lossy());
    format!("{name} <{email}>")
}

/// Who has not signed it off of those that have to: its author, and who sends it.
pub fn unsigned(patch: &Patch, sender: Option<&str>) -> Vec<String> {
    let (message, author) = (message(patch), author(patch));
    let sender = sender.filter(|sender| !same(sender, &author));
    let sender = sender.map(str::to_owned);
    let is_missing =
        |who: &String| !values(trailers(&message), "Signed-off-by").any(|by| same(by, who));
    let all = [Some(author), sender].into_iter().flatten();
    all.filter(is_missing).collect()
}

/// The last paragraph of a message, where git looks for trailers; the subject has none.
fn trailers(message: &str) -> &str {
    let parts = message.trim_end().rsplit_once("\n\n");
    parts.map_or("", |(_, last)| last)
}

/// Whether people can write to `Name <address>`: neither a placeholder, nor one of this machine, nor one that takes no mail.
pub fn is_public(person: &str) -> bool {
    /// RFC 2606 and RFC 6762, and what machines call themselves.
    const NOBODYS: &[&str] = &[
        "example",
        "example.com",
        "example.net",
        "example.org",
        "internal",
        "invalid",
        "local",
        "localdomain",
        "localhost",
        "test",
    ];
    const DEAF: &[&str] = &["noreply", "no-reply"];
    let address = address(person).and_then(|address| address.split_once('@'));
    let (name, domain) = address.unwrap_or_default();
    let [name, domain] = [name, domain].map(str::to_lowercase);
    let domain = domain.trim_end_matches('.');
    let is_below = |end: &&str| {
        let before = domain.strip_suffix(*end);
        before.is_some_and(|before| before.is_empty() || before.ends_with('.'))
    };
    let is_deaf = domain
        .split('.')
        .chain([&*name])
        .any(|it| DEAF.contains(&it));
    domain.contains('.') && !is_deaf && !NOBODYS.iter().any(is_below)
}

/// What tells of a version that it was sent.
fn sent(mailing: &Mailing<'_>, version: u32) -> String {
    let series = mailing.series.last().map_or("", String::as_str);
    record::command(mailing.base, series, version)
}

fn signed(mailing: &Mailing<'_>) -> Item {
    let missing = |patch: &Patch| {
        let who = unsigned(patch, mailing.identity);
        (!who.is_empty()).then(|| format!("{}: {}", who.join(" and "), patch.subject))
    };
    let missing: Vec<_> = mailing.patches.iter().filter_map(missing).collect();
    if missing.is_empty() {
        return Item::done("Each patch has a Signed-off-by of its author and of whoever sends it.");
    }
    let commits = mailing.commits();
    Item::todo(
        "A Signed-off-by of the author, or of you who send it, is missing. Only they can give it: it \
         says that they have the right to submit the patch \
         (Documentation/process/submitting-patches.rst). If it is true, yours is given by:",
    )
    .of(missing)
    .how(vec![commits.sign(), commits.refresh()])
}

fn identity(mailing: &Mailing<'_>) -> Item {
    match (mailing.identity, unreachable(mailing.identity)) {
        (_, Some(why)) => Item::todo(format!("{why}.")),
        (person, None) => Item::done(format!(
            "The mails are from {}.",
            person.unwrap_or_default()
        )),
    }
}

/// Why nobody can answer to whom git would send as.
pub fn unreachable(identity: Option<&str>) -> Option<String> {
    match identity {
        Some(person) => (!is_public(person)).then(|| {
            format!(
                "The mails would be from {person}, which nobody can answer: git config user.name and \
                 user.email"
            )
        }),
        None => Some(
            "Git does not know who you are: git config --global user.name and user.email".into(),
        ),
    }
}

fn authors(mailing: &Mailing<'_>) -> Item {
    let authors = mailing
        .patches
        .iter()
        .map(|patch| (author(patch), &patch.subject));
    let nobodys: Vec<_> = authors
        .filter(|(author, _)| !is_public(author))
        .map(|(author, subject)| format!("{author}: {subject}"))
        .collect();
    if nobodys.is_empty() {
        return Item::done("Each patch has an author with an address.");
    }
    let commits = mailing.commits();
    let all = match nobodys.len() == mailing.patches.len() {
        true => "If you are the author of all:",
        false => {
            "If you are the author of all, the others included (else make it a `rebase -i`, and take \
             only these):"
        }
    };
    Item::todo(format!(
        "The author is nobody to whom people can write. {all}"
    ))
    .of(nobodys)
    .how(vec![commits.own(), commits.refresh()])
}

fn private(mailing: &Mailing<'_>) -> Option<Item> {
    (!mailing.published).then(|| {
        Item::todo(
            "No tag and no remote branch has the commit that the mails are for: make sure that \
             others can get it, or make the mails for another with --onto.",
        )
    })
}

/// That a series cannot be applied by others, as these below it are not known to be sent.
pub fn below_unsent(names: &[String]) -> Option<String> {
    let (are, them) = match names.len() {
        0 => return None,
        1 => ("is", "that"),
        _ => ("are", "these"),
    };
    Some(format!(
        "It applies on top of {}, which {are} not known to be sent: send {them} first.",
        names.join(" and ")
    ))
}

/// What comes after a version should tell what people saw of it.
fn before(mailing: &Mailing<'_>) -> Option<Item> {
    let last = mailing.earlier.first().filter(|last| !last.is_sent())?;
    Some(Item::todo(format!(
        "v{} is not known to be sent: {}",
        last.version,
        sent(mailing, last.version)
    )))
}

fn assisted(mailing: &Mailing<'_>) -> Vec<Item> {
    let mut wrong: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut named = BTreeSet::new();
    for patch in mailing.patches {
        for line in message(patch).lines() {
            match assistance(line) {
                Some(Err(_)) => {
                    let of = wrong.entry(line.to_owned()).or_default();
                    of.push(format!("    in {}", patch.subject));
                }
                Some(Ok(())) => _ = named.insert(line.to_owned()),
                None => {}
            }
        }
    }
    let mut items = Vec::new();
    if !wrong.is_empty() {
        let what = "Assisted-by has to name a real tool and model, AGENT:MODEL [tools] \
             (Documentation/process/coding-assistants.rst). Only you know what it was.";
        let lines = wrong.into_iter().flat_map(|(line, of)| {
            let line = [line];
            line.into_iter().chain(of)
        });
        items.push(Item::todo(what).of(lines.collect()));
    }
    if !named.is_empty() {
        let named = named.into_iter().collect();
        items.push(Item::asked("Is that all, and is it true?").of(named));
    }
    items
}

/// Whether a line of a message names a tool and its model, if it is an `Assisted-by:`; the error is what is wrong.
///
/// The first word is `AGENT:MODEL`, both of which say something; what follows are names of tools.
pub fn assistance(line: &str) -> Option<Result<(), String>> {
    /// They stand for a name, and are none.
    const PLACEHOLDERS: &[&str] = &[
        "agent",
        "agent_name",
        "ai",
        "assistant",
        "llm",
        "model",
        "model_version",
        "n/a",
        "name",
        "none",
        "tbd",
        "todo",
        "tool",
        "unknown",
        "unspecified",
        "version",
        "x",
        "xxx",
    ];
    let value = values(line, "Assisted-by").next()?;
    let first = value.split_whitespace().next().unwrap_or_default();
    let says = |word: &str| {
        let word = word
            .trim_matches(['[', ']', '<', '>', '.', '-', '?'])
            .to_lowercase();
        !word.is_empty() && !PLACEHOLDERS.contains(&word.as_str())
    };
    let is_mail = value.contains('@');
    let fits = match first.split_once(':') {
        Some((agent, model)) => says(agent) && says(model) && !is_mail,
        None => false,
    };
    Some(match fits {
        true => Ok(()),
        false => Err(format!(
            "{line:?} names no tool and model: it has to be `Assisted-by: AGENT:MODEL [tools]` with \
             real names"
        )),
    })
}

fn checkpatch(mailing: &Mailing<'_>) -> Item {
    match mailing.complaints {
        [] => Item::done("checkpatch.pl --strict has nothing to say, but for sign-offs."),
        said => Item::todo("checkpatch.pl --strict complains:").of(said.to_vec()),
    }
}

fn fixes(mailing: &Mailing<'_>) -> Item {
    static FORM: LazyLock<Regex> =
        LazyLock::new(|| Regex::new(r#"^[0-9a-f]{12,40} \(".+"\)$"#).expect("valid"));
    let mut all = Vec::new();
    for patch in mailing.patches {
        all.extend(values(&message(patch), "Fixes").map(str::to_owned));
    }
    let wrong: Vec<_> = all
        .iter()
        .filter(|value| !FORM.is_match(value))
        .map(|value| format!("Fixes: {value}"))
        .collect();
    match (all.is_empty(), wrong.is_empty()) {
        (true, _) => Item::asked(
            "No patch has a Fixes:. One that mends what an earlier commit broke needs it: `Fixes: \
             123456789abc (\"subject\")`, and Cc: stable@vger.kernel.org if released kernels have \
             that commit.",
        ),
        (_, false) => Item::todo(
            "Fixes: has to be 12 or more hex digits and the subject, `123456789abc (\"subject\")`.",
        )
        .of(wrong),
        _ => Item::done(format!(
            "{} of the right form.",
            count(all.len(), "Fixes: line")
        )),
    }
}

fn of_uapi(patch: &Patch) -> Vec<&str> {
    let files = patch.files().into_iter();
    files
        .filter(|file| file.contains("include/uapi/") && !file.starts_with("tools/"))
        .collect()
}

fn touched<'a>(mailing: &Mailing<'a>, of: impl Fn(&'a Patch) -> Vec<&'a str>) -> BTreeSet<&'a str> {
    mailing.patches.iter().flat_map(of).collect()
}

fn uapi(mailing: &Mailing<'_>) -> Vec<Item> {
    let files: Vec<String> = touched(mailing, of_uapi)
        .into_iter()
        .map(str::to_owned)
        .collect();
    if files.is_empty() {
        return Vec::new();
    }
    let is_there = |list: &&&str| mailing.recipients.iter().any(|it| same(it, list));
    let missing: Vec<_> = lists(mailing.patches)
        .iter()
        .filter(|list| !is_there(list))
        .copied()
        .collect();
    let lists = match missing.is_empty() {
        true => Item::done(
            "linux-api and linux-man are among the recipients, as programs can see the change.",
        ),
        false => Item::todo(format!(
            "Programs can see the change, so {} belongs into Cc.",
            missing.join(" and ")
        )),
    };
    let man = Item::asked(
        "Is there a patch for man-pages? What programs may use from now on is described there:",
    )
    .of(files);
    vec![lists, man]
}

fn below<'a>(patch: &'a Patch, folder: &str) -> Vec<&'a str> {
    patch
        .files()
        .into_iter()
        .filter(|file| file.starts_with(folder))
        .collect()
}

fn xfs(mailing: &Mailing<'_>) -> Option<Item> {
    let files = touched(mailing, |patch| below(patch, "fs/xfs/"));
    (!files.is_empty()).then(|| {
        Item::asked(
            "fs/xfs is touched: run fstests (./check -g quick, and -g freeze, on xfs), and say in \
             the cover letter what came of it.",
        )
    })
}

fn selftests(mailing: &Mailing<'_>) -> Option<Item> {
    const FOLDER: &str = "tools/testing/selftests/";
    let files = touched(mailing, |patch| below(patch, FOLDER));
    let targets: BTreeSet<&str> = files
        .iter()
        .filter_map(|file| Some(file.strip_prefix(FOLDER)?.rsplit_once('/')?.0))
        .collect();
    if !targets.is_empty() {
        let targets = targets.into_iter().collect::<Vec<_>>().join(" ");
        return Some(Item::asked(format!(
            "kselftest: make -C {FOLDER} TARGETS=\"{targets}\" run_tests, on the patched kernel."
        )));
    }
    let is_new = !touched(mailing, of_uapi).is_empty();
    is_new.then(|| {
        Item::asked(format!(
            "An interface without a test in {FOLDER}: maintainers ask for one."
        ))
    })
}

/// What is said of more mails than people read.
pub fn many(mails: usize) -> Option<String> {
    (mails > MANY).then(|| {
        format!(
            "{mails} mails are many: past {MANY} people stop reading. Can a part be sent first?"
        )
    })
}

/// With these, `git send-email` sends as they are mails that know their To, Cc and thread: nothing that stands in a message
/// or in the user's configuration adds to that, and To and Cc are left as well (`--suppress-cc=all` drops the latter).
pub const SEND_EMAIL: &[&str] = &[
    "--no-annotate",
    "--no-thread",
    "--no-to",
    "--no-cc",
    "--no-bcc",
    "--to-cmd=true",
    "--suppress-cc=author",
    "--suppress-cc=body",
    "--suppress-cc=cccmd",
    "--no-signed-off-by-cc",
    "--no-suppress-from",
];

fn ways(mailing: &Mailing<'_>) -> String {
    let paths = [mailing.mails, mailing.repository, mailing.b4];
    let [mails, repository, b4] = paths.map(|path| quoted(path.as_str()));
    let lines = [
        format!("with b4:   (cd {repository} && {b4} send)"),
        format!(
            "or by git: git send-email {} --confirm=always {mails}/*.eml",
            SEND_EMAIL.join(" ")
        ),
    ];
    let mut b4_is = "b4 send gives the mails new Message-Ids. Without a key of patatt's (\"patatt.signingkey is not \
        set\") it is b4 send --no-sign."
        .to_owned();
    if mailing.series.len() > 1 {
        b4_is += " At \"pre-flight checks are failing: b4 prep --check-deps\", Enter goes on: the series is for \
            patches that were looked for without asking a server; b4 prep --check-deps asks one.";
    }
    let b4_is = fold(&b4_is, "");
    let after = fold(
        &format!(
            "Afterwards, with the list's mbox of it (b4 mbox MESSAGE-ID): {}",
            sent(mailing, mailing.version)
        ),
        "",
    );
    format!(
        "To send, one of:\n  {}\n{b4_is}\n{after}\n",
        lines.join("\n  ")
    )
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use xshell::cmd;

    use super::*;
    use crate::deps;
    use crate::host::environment::PLAIN;
    use crate::host::layout::Layout;
    use crate::host::proc::{self, Stop};
    use crate::host::session::Session;
    use crate::mail::b4::{B4, Mails};
    use crate::mail::fixture::Fixture;
    use crate::mail::graft::Grafted;
    use crate::mail::letter::{Letter, People, Recipients};
    use crate::mail::record::State;
    use crate::mail::record::samples::record;
    use crate::series::{load, parse};

    fn patch(from: &str, files: &[&str], trailers: &str) -> Patch {
        let diff: String = files
            .iter()
            .map(|file| {
                format!(
                    "diff --git a/{file} b/{file}\nindex 1..2 100644\n--- a/{file}\n+++ b/{file}\n\
                     @@ -1 +1 @@\n-b\n+c\n"
                )
            })
            .collect();
        let text = format!(
            "From: {from}\nDate: Fri, 27 Nov 2026 10:00:00 +0100\nSubject: fs: x\n\nWhy.\n\n\
             {trailers}\n---\n\n{diff}"
        );
        parse(Utf8Path::new("x.patch"), text.as_bytes()).unwrap()
    }

    fn of<'a>(
        recipients: &'a [String],
        mails: &'a Utf8Path,
        repository: &'a Utf8Path,
    ) -> Mailing<'a> {
        Mailing {
            version: 2,
            base: "mainline",
            series: &[],
            patches: &[],
            tree: Utf8Path::new("the tree"),
            unsent: &[],
            published: true,
            identity: None,
            recipients,
            earlier: &[],
            mails,
            repository,
            complaints: &[],
            b4: Utf8Path::new("b4"),
        }
    }

    fn list(patches: &[Patch], identity: Option<&str>, recipients: &[&str]) -> String {
        let recipients: Vec<_> = recipients.iter().map(ToString::to_string).collect();
        let text = super::list(&Mailing {
            patches,
            identity,
            ..of(
                &recipients,
                "target/mail/v2".into(),
                "target/mail/repository".into(),
            )
        })
        .text;
        unfolded(&text)
    }

    /// Lines that belong together in one.
    fn unfolded(text: &str) -> String {
        static FOLD: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"\n    (\w)").unwrap());
        FOLD.replace_all(text, " $1").into_owned()
    }

    const ME: &str = "Me <me@freeze.dev>";
    const LISTS: &[&str; 2] = &[
        "linux-api@vger.kernel.org",
        "man <linux-man@vger.kernel.org>",
    ];

    #[test]
    fn assistance_names_a_tool_and_a_model() {
        for (line, wanted) in [
            (
                "Assisted-by: Claude:claude-3-opus coccinelle sparse",
                Some(true),
            ),
            ("assisted-by: Agent7:model-1", Some(true)),
            ("Assisted-by: LLM sparse", Some(false)),
            ("Assisted-by: LLM", Some(false)),
            ("Assisted-by: LLM:unspecified sparse", Some(false)),
            ("Assisted-by: Claude:unspecified", Some(false)),
            ("Assisted-by: AGENT_NAME:MODEL_VERSION [TOOL]", Some(false)),
            ("Assisted-by:", Some(false)),
            ("Assisted-by: :", Some(false)),
            ("Assisted-by: Claude", Some(false)),
            ("Assisted-by: Claude: opus", Some(false)),
            ("Assisted-by: Claude <noreply@example.org>", Some(false)),
            (
                "Assisted-by: Claude:opus <noreply@example.org>",
                Some(false),
            ),
            ("Reviewed-by: Me <me@example.org>", None),
        ] {
            assert_eq!(assistance(line).map(|it| it.is_ok()), wanted, "{line}");
        }
    }

    #[test]
    fn what_is_on_the_list() {
        let signed = "Signed-off-by: Me <ME@freeze.dev>";
        let fixed = format!("Fixes: 123456789abc (\"fs: y\")\n{signed}");
        let uapi: &[&str] = &["include/uapi/linux/fs.h"];
        let both: &[&str] = &[
            "include/uapi/linux/fs.h",
            "tools/testing/selftests/landlock/fs_test.c",
            "tools/testing/selftests/x/y/z.c",
        ];
        for (from, files, trailers, recipients, wanted, unwanted) in [
            (
                ME,
                &["a"][..],
                signed,
                &[][..],
                "[x] Each patch has a Signed-off-by of its author and of whoever sends it.",
                "uapi",
            ),
            (
                ME,
                &["a"],
                "",
                &[],
                "[ ] A Signed-off-by of the author, or of you who send it, is missing.",
                "[ ] The author",
            ),
            (
                ME,
                &["a"],
                "Signed-off-by: You <you@example.org>",
                &[],
                "[ ] A Signed-off-by",
                "[ ] The author",
            ),
            (
                "s <freeze@localhost>",
                &["a"],
                signed,
                &[],
                "[ ] The author is nobody",
                "[x] Each",
            ),
            (
                ME,
                &["a"],
                "Assisted-by: LLM",
                &[],
                "      Assisted-by: LLM\n          in fs: x",
                "Is that all",
            ),
            (
                ME,
                &["a"],
                "Assisted-by: A:m",
                &[],
                "[?] Is that all, and is it true?",
                "has to name",
            ),
            (
                ME,
                &["a"],
                signed,
                &[],
                "[?] No patch has a Fixes:.",
                "right form",
            ),
            (
                ME,
                &["a"],
                &fixed,
                &[],
                "[x] 1 Fixes: line of the right form.",
                "No patch",
            ),
            (
                ME,
                &["a"],
                "Fixes: 1234 (fs: y)",
                &[],
                "  Fixes: 1234 (fs: y)",
                "right form",
            ),
            (
                ME,
                uapi,
                signed,
                &[],
                "linux-api@vger.kernel.org and linux-man@vger.kernel.org belongs into Cc",
                "kselftest:",
            ),
            (
                ME,
                uapi,
                signed,
                LISTS,
                "[x] linux-api and linux-man",
                "belongs",
            ),
            (
                ME,
                uapi,
                signed,
                LISTS,
                "[?] An interface without a test",
                "kselftest:",
            ),
            (
                ME,
                uapi,
                signed,
                LISTS,
                "[?] Is there a patch for man-pages?",
                "kselftest:",
            ),
            (
                ME,
                both,
                signed,
                LISTS,
                "TARGETS=\"landlock x/y\" run_tests",
                "An interface without",
            ),
            (
                ME,
                &["tools/include/uapi/linux/fs.h"],
                signed,
                &[],
                "[x] Each",
                "linux-api",
            ),
            (
                ME,
                &["fs/xfs/xfs_super.c"],
                signed,
                &[],
                "[?] fs/xfs is touched: run fstests",
                "kselftest",
            ),
        ] {
            let text = list(&[patch(from, files, trailers)], Some(ME), recipients);
            assert!(text.contains(wanted), "{wanted}\n{text}");
            assert!(!text.contains(unwanted), "{unwanted}\n{text}");
        }
    }

    #[test]
    fn whom_nobody_can_answer() {
        for (person, wanted) in [
            ("a@freeze.dev", true),
            ("A <a@freeze.dev>", true),
            ("A <a@latest.dev>", true),
            ("A <a@myexample.org>", true),
            ("A <a@example.org.de>", true),
            ("A <a@example.org>", false),
            ("A <a@mail.Example.COM>", false),
            ("A <a@example.net>", false),
            ("A <a@b.example>", false),
            ("A <a@b.test>", false),
            ("A <a@b.test.>", false),
            ("A <1+a@users.noreply.codeberg.org>", false),
            ("A <a@noreply.gitlab.com>", false),
            ("A <noreply@freeze.dev>", false),
            ("A <no-reply@freeze.dev>", false),
            ("a@localhost", false),
            ("a@box.local", false),
            ("a@BOX.LOCALDOMAIN", false),
            ("A <1+a@users.noreply.github.com>", false),
            ("A <a>", false),
            ("", false),
        ] {
            assert_eq!(is_public(person), wanted, "{person}");
        }
    }

    #[test]
    fn a_version_before_that_is_only_prepared() {
        for (state, wanted) in [(State::Prepared, true), (State::Sent, false)] {
            let earlier = [2, 1].map(|version| Record {
                state,
                ..record(version, &[])
            });
            let stack = ["a", "b"].map(str::to_owned);
            let text = super::list(&Mailing {
                version: 3,
                base: "6.1",
                series: &stack,
                earlier: &earlier,
                ..of(&[], "m".into(), "r".into())
            })
            .text;
            let text = text.replace("\n    ", " ");
            let of = "--mbox FILE --base 6.1 --series b";
            let todo = format!("[ ] v2 is not known to be sent: cargo xtask series sent -v 2 {of}");
            assert_eq!(text.contains(&todo), wanted, "{text}");
            let after = format!("series sent -v 3 {of}").replace(' ', "\n");
            assert!(text.replace(' ', "\n").contains(&after), "{text}");
            assert!(!text.contains("v1 is not"), "{text}");
        }
    }

    /// The user's configuration may say whatever people use for mails that do not know their recipients.
    #[test]
    #[ignore = "takes git send-email; cargo xtask ci sees to it"]
    fn git_sends_each_mail_to_its_own_people() {
        let dir = tempfile::tempdir().unwrap();
        let dir = Utf8Path::from_path(dir.path()).unwrap();
        let mails = dir.join("the mails");
        fs_err::create_dir(&mails).unwrap();
        fs_err::write(dir.join("config"), CONFIG).unwrap();
        let people = "To: Linux <fs@example.org>, ann@example.org\nCc: Me <me@example.org>, \
            \"Last, B\" <bob@example.org>\n";
        let body = "Why.\n\nSigned-off-by: O <o@example.org>\nReviewed-by: R <r@example.org>\n\
            Cc: c@example.org\nLink: https://example.org\n---\n";
        for (number, thread) in [(0, ""), (1, "In-Reply-To: <0@x>\nReferences: <0@x>\n")] {
            let mail = format!(
                "Subject: [PATCH v2 {number}/1] fs: x\nFrom: Me <me@example.org>\n\
                 Date: Fri, 27 Nov 2026 10:00:00 +0100\nMessage-Id: <{number}@x>\n{thread}{people}\
                 Content-Type: text/plain; charset=\"utf-8\"\nContent-Transfer-Encoding: 8bit\n\
                 MIME-Version: 1.0\n\nFrom: Other <other@example.org>\n\n{body}"
            );
            fs_err::write(mails.join(format!("{number:04}-x.eml")), mail).unwrap();
        }
        let all = ways(&of(&[], &mails, dir));
        let (_, line) = all.split_once("or by git: ").unwrap();
        let line = line.lines().next().unwrap();
        let line = line.replace("--confirm=always", "--dry-run --confirm=never");
        let send = cmd!(PLAIN, "sh -euc {line}")
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env("GIT_CONFIG_GLOBAL", dir.join("config"))
            .env("GIT_CEILING_DIRECTORIES", dir)
            .env("GIT_EDITOR", "false");
        let mut send = Command::from(send);
        send.current_dir(dir);
        let said = proc::read(&mut send, &Stop::default()).unwrap();
        let after = |begin: &str| -> Vec<String> {
            let lines = said.lines().filter_map(|line| line.strip_prefix(begin));
            lines.map(str::to_owned).collect()
        };
        let each = ["fs", "ann", "me", "bob"].map(|name| format!("<{name}@example.org>"));
        assert_eq!(after("RCPT TO:"), [each.clone(), each].concat(), "{said}");
        assert_eq!(after("In-Reply-To: "), ["<0@x>"], "{said}");
        let ids = said.to_lowercase().matches("message-id: <").count();
        assert_eq!(
            (ids, after("References: ")),
            (2, vec!["<0@x>".to_owned()]),
            "{said}"
        );
        assert!(said.contains("<0@x>") && said.contains("<1@x>"), "{said}");
    }

    /// Mails that b4 has written, and the line of the list that sends them by b4.
    fn written(fixture: &Fixture, grafted: &Grafted) -> (Mails, String) {
        let session = Session::new(Layout::of_this_checkout().unwrap(), Stop::default());
        let program = deps::b4(&session).unwrap();
        let b4 = B4::open(grafted, &program, &session).unwrap();
        let letter = Letter {
            cover: "fs: all\n\nWhy.\n".into(),
            version: 1,
            recipients: Recipients::These(People {
                to: vec!["list@example.org".into()],
                cc: vec!["\"Last, First\" <b@example.org>".into()],
            }),
            ..Letter::default()
        };
        let folder = fixture.dir.join("mails");
        let mails = b4.write(&letter, &folder, &folder.join("mbx")).unwrap();
        let recipients = [mails.people.to.as_slice(), &mails.people.cc].concat();
        let all = ways(&Mailing {
            b4: &program,
            ..of(&recipients, &folder, &grafted.repository)
        });
        let (_, line) = all.split_once("with b4:   ").unwrap();
        (mails, line.lines().next().unwrap().to_owned())
    }

    /// What b4 says to a person whose mails go to a file `outbox`.
    fn said_to_person(fixture: &Fixture, line: &str, input: &[u8]) -> String {
        let dir = &fixture.dir;
        let server = format!("#!/bin/sh\ncat >> {dir}/outbox\n");
        fs_err::write(dir.join("server"), server).unwrap();
        let config = format!(
            "[user]\n\tname = Me\n\temail = me@example.org\n[sendemail]\n\tsmtpserver = {dir}/server\n"
        );
        fs_err::write(dir.join("config"), config).unwrap();
        let line = line.replace(" send", " --offline-mode send");
        let line = format!("chmod +x {dir}/server; {line}");
        let send = cmd!(PLAIN, "sh -euc {line}")
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env("GIT_CONFIG_GLOBAL", dir.join("config"))
            .env("HOME", dir);
        let output = proc::output(&mut Command::from(send), input, &Stop::default()).unwrap();
        String::from_utf8_lossy(&output.stdout).into_owned() + &output.stderr()
    }

    #[test]
    #[ignore = "takes b4 from PyPI; cargo xtask ci sees to it"]
    fn b4_sends_from_the_repository_that_it_was_driven_in() {
        let fixture = Fixture::new();
        let grafted = fixture.grafted();
        let (_, line) = written(&fixture, &grafted);
        let dry = line.replace(" send", " send --dry-run --no-sign");
        let said = said_to_person(&fixture, &dry, b"");
        for line in [
            "To: list@example.org\n",
            "Cc: \"Last, First\" <b@example.org>\n",
        ] {
            assert_eq!(said.matches(line).count(), 3, "{said}");
        }
        assert!(said.contains("Would have sent 3 messages"), "{said}");
        // The user's own server counts again.
        let server = fixture.git(&grafted.repository, "config --list --local");
        assert!(!server.contains("smtpserver"), "{server}");
    }

    /// A series on top of another, sent to a program that keeps the mails.
    #[test]
    #[ignore = "takes b4 from PyPI; cargo xtask ci sees to it"]
    fn what_is_told_of_b4_is_true() {
        let fixture = Fixture::new();
        let (mails, line) = written(&fixture, &fixture.grafted_second());
        let outbox = fixture.dir.join("outbox");
        let checks = "b4 prep --check-deps";
        let said = said_to_person(&fixture, &line, b"\n\n");
        for words in [checks, "patatt.signingkey is not set"] {
            assert!(said.contains(words), "{words}: {said}");
        }
        assert!(!outbox.exists(), "{said}");
        let unsigned = line.replace(" send", " send --no-sign");
        let said = said_to_person(&fixture, &unsigned, b"\n\n");
        assert!(said.contains(checks), "{said}");
        let sent = fs_err::read_to_string(&outbox).expect(&said);
        let made = fs_err::read_to_string(&mails.files[0]).unwrap();
        let id = |text: &str| {
            let mut lines = text.lines();
            let id = lines.find(|line| line.to_lowercase().starts_with("message-id:"));
            id.unwrap().to_owned()
        };
        assert!(sent.contains("\nTo: list@example.org"), "{sent}");
        assert_ne!(id(&sent), id(&made));
    }

    const CONFIG: &str = "[user]\n\tname = Me\n\temail = me@example.org\n[sendemail]\n\
        \tto = w1@example.org\n\tcc = w2@example.org\n\tbcc = w3@example.org\n\
        \ttocmd = echo w4@example.org \n\tcccmd = echo w5@example.org \n\tsignedoffbycc = true\n\
        \tsuppressfrom = true\n\tthread = true\n\tchainreplyto = true\n\tannotate = true\n\
        \tconfirm = always\n\ttocover = true\n\tcccover = true\n";

    #[test]
    fn who_sends_and_how() {
        for (identity, wanted) in [
            (None, "[ ] Git does not know"),
            (
                Some("me <me@host>"),
                "[ ] The mails would be from me <me@host>",
            ),
            (Some(ME), "[x] The mails are from Me <me@freeze.dev>."),
        ] {
            let text = list(&[], identity, &[]);
            assert!(text.contains(wanted), "{text}");
            assert!(
                text.contains("b4 send") && text.contains("git send-email"),
                "{text}"
            );
            assert!(text.contains("target/mail/v2/*.eml"), "{text}");
        }
    }

    #[test]
    fn many_mails() {
        for (patches, mails, warns) in [
            (1, 1, false),
            (14, 15, false),
            (15, 16, true),
            (16, 17, true),
        ] {
            assert_eq!(super::mails(patches), mails);
            let patches = vec![patch(ME, &["a"], ""); patches];
            let text = list(&patches, None, &[]);
            assert_eq!(text.contains("mails are many"), warns, "{text}");
        }
    }

    #[test]
    fn the_series_of_this_checkout() {
        let layout = Layout::of_this_checkout().unwrap();
        let series = load(&layout, "mainline", "generic-freeze").unwrap();
        let text = list(&series.patches, Some(ME), LISTS);
        for words in [
            "[ ] A Signed-off-by",
            "$ git -C 'the tree' rebase --signoff refs/worktree/base\n    $ cargo xtask series refresh --base mainline\n",
            "[ ] The author is",
            "[ ] Assisted-by has",
            "run fstests",
            "TARGETS=\"filesystems/freeze landlock\"",
        ] {
            assert!(text.contains(words), "{text}");
        }
        assert_eq!(lists(&series.patches).len(), 2);
    }

    #[test]
    fn whoever_sends_signs_too_and_where_git_looks_for_it() {
        let signed = "Signed-off-by: Me <me@freeze.dev>";
        let you = "You <you@freeze.dev>";
        let both = format!("Signed-off-by: {you}\n{signed}");
        let quoted = format!("{signed}\n\nis what he wrote.");
        for (from, trailers, wanted) in [
            (ME, signed, &[][..]),
            (you, signed, &[you]),
            (you, "Signed-off-by: You <you@freeze.dev>", &[ME]),
            (you, &both, &[]),
            (you, "", &[you, ME]),
            (ME, &quoted, &[ME]),
        ] {
            let patch = patch(from, &["a"], trailers);
            assert_eq!(unsigned(&patch, Some(ME)), wanted, "{from} {trailers}");
            let text = list(&[patch], Some(ME), &[]);
            let missing = format!("      {}: fs: x\n", wanted.join(" and "));
            assert_eq!(text.contains(&missing), !wanted.is_empty(), "{text}");
        }
        let alone = parse(
            Utf8Path::new("x.patch"),
            format!("From: {ME}\nDate: Fri, 27 Nov 2026 10:00:00 +0100\nSubject: {signed}\n\n---\n\n{DIFF}")
                .as_bytes(),
        );
        assert_eq!(unsigned(&alone.unwrap(), None), [ME]);
    }

    const DIFF: &str =
        "diff --git a/a b/a\nindex 1..2 100644\n--- a/a\n+++ b/a\n@@ -1 +1 @@\n-b\n+c\n";

    /// Questions stay; all else can be done.
    #[test]
    fn nothing_can_be_left_to_do() {
        let files = [
            "fs/xfs/a.c",
            "include/uapi/linux/fs.h",
            "tools/testing/selftests/x/y",
        ];
        let trailers = "Assisted-by: A:m\nSigned-off-by: Me <me@freeze.dev>";
        let patches = vec![patch(ME, &files, trailers); 16];
        let people = LISTS.map(str::to_owned);
        let mailing = Mailing {
            patches: &patches,
            identity: Some(ME),
            ..of(&people, "m".into(), "r".into())
        };
        let List { text, left } = super::list(&mailing);
        assert_eq!((left, text.matches("\n[?]").count()), (0, 6), "{text}");
        let lower = ["a", "b"].map(str::to_owned);
        for (unsent, published, wanted) in [
            (&lower[..0], false, "[ ] No tag and no remote branch"),
            (
                &lower[..1],
                true,
                "[ ] It applies on top of a, which is not known to be sent: send that first.",
            ),
            (
                &lower,
                true,
                "[ ] It applies on top of a and b, which are not known to be sent: send these first.",
            ),
        ] {
            let List { text, left } = super::list(&Mailing {
                unsent,
                published,
                ..mailing
            });
            assert!(left == 1 && unfolded(&text).contains(wanted), "{text}");
        }
    }

    /// Each as it stands in the list, in a shell.
    #[test]
    fn what_is_to_be_typed_does_what_it_says() {
        let stack = ["a", "b"].map(str::to_owned);
        for (series, changed) in [(&stack[..1], 3), (&stack[..], 2)] {
            let dir = tempfile::tempdir().unwrap();
            let tree = Utf8Path::from_path(dir.path()).unwrap().join("it's a tree");
            fs_err::create_dir(&tree).unwrap();
            let config = tree.with_file_name("config");
            fs_err::write(&config, CONFIG).unwrap();
            let run = |line: &str| {
                let line = cmd!(PLAIN, "sh -euc {line}")
                    .env("GIT_CONFIG_NOSYSTEM", "1")
                    .env("GIT_CONFIG_GLOBAL", &config)
                    .env("GIT_EDITOR", "false");
                let mut line = Command::from(line);
                line.current_dir(&tree);
                proc::read(&mut line, &Stop::default()).unwrap()
            };
            run(
                "git init -q; git commit -q --allow-empty -m base; git update-ref refs/worktree/base HEAD; \
                 git checkout -q --detach; for i in 1 2 3; do echo $i > a; git add a; git commit -q -m $i \
                 --author='s <s@localhost>'; done",
            );
            let commits = Commits {
                base: "6.1",
                series,
                tree: &tree,
                patches: changed,
            };
            // From elsewhere as well.
            run(&format!("cd /; {}", commits.own()));
            run(&format!("cd /; {}", commits.sign()));
            let said = run(
                "git log --format='%ae %s %(trailers:key=Signed-off-by,valueonly,separator=,)' refs/worktree/base..",
            );
            let lines: Vec<_> = said.lines().collect();
            let mine = ["3", "2", "1"].map(|it| format!("me@example.org {it} Me <me@example.org>"));
            assert_eq!(lines[..changed], mine[..changed], "{said}");
            assert!(
                lines[changed..]
                    .iter()
                    .all(|it| it.trim() == "s@localhost 1"),
                "{said}"
            );
            assert_eq!(lines.len(), 3);
        }
    }

    #[test]
    fn what_b4_asks_for_is_told() {
        let stack = ["a", "b"].map(str::to_owned);
        for (series, wanted) in [(&stack[..1], false), (&stack[..], true)] {
            let text = super::list(&Mailing {
                series,
                ..of(&[], "m".into(), "r".into())
            })
            .text
            .replace('\n', " ");
            assert_eq!(text.contains("Enter goes on"), wanted, "{text}");
            for words in ["b4 send --no-sign", "new Message-Ids"] {
                assert!(text.contains(words), "{text}");
            }
        }
    }
}
