//! All that is to be there before mails can be made: patches, letters, earlier versions, results.

use camino::Utf8PathBuf;
use xshell::cmd;

use super::order::Order;
use crate::event::CaseId;
use crate::failure::{Kind, OrFail, Result};
use crate::flow::refresh::followed;
use crate::flow::select;
use crate::host::layout::Layout;
use crate::host::session::Session;
use crate::kernel::tree;
use crate::kernel::worked::Worked;
use crate::kernel::{self, bases};
use crate::mail::Tested;
use crate::mail::checklist::Commits;
use crate::mail::cover::{self, Section, Text};
use crate::mail::identity::Identity;
use crate::mail::record::{self, Record};
use crate::mail::refuse;
use crate::mail::results::{self, Wanted};
use crate::report::inputs;
use crate::series::{self, Patch, Series};

#[derive(Debug)]
pub struct Draft {
    /// What is mailed.
    pub series: Series,
    pub dependencies: Vec<Dependency>,
    /// `patches/BASE/SERIES`.
    pub folder: Utf8PathBuf,
    pub text: Text,
    pub changes: Vec<Section>,
    /// The newest first.
    pub earlier: Vec<Record>,
    /// What an earlier run has made of this version.
    pub prepared: Option<Record>,
    /// A table.
    pub results: String,
    pub tested: Tested,
}

/// A series that the mailed one applies on top of.
#[derive(Debug)]
pub struct Dependency {
    pub series: String,
    /// Change-id and version, if it was sent as it is: `20261127-freeze-0123456789ab:v1`.
    pub sent: Option<String>,
}

impl Draft {
    /// # Errors
    /// [`Kind::Usage`] with what is missing or unfit, the file and line, and how to go on.
    pub fn read(order: &Order, identity: &Identity, session: &Session) -> Result<Self> {
        let (stack, series) = stack(order, session)?;
        refuse::unfit(&series)?;
        if order.to_list {
            let tree = tree::name(&order.base, &order.series);
            let commits = Commits {
                base: &order.base,
                series: &order.series,
                tree: &session.layout.trees().join(tree),
                patches: series.patches.len(),
            };
            refuse::for_list(&series, Some(&identity.to_string()), &commits)?;
        }
        let layout = &session.layout;
        let folder = series::folder(layout, &order.base, &series.name);
        let text = cover::read(&folder)?;
        let changes = cover::changes(&folder, order.version)?;
        let earlier = record::earlier(&folder, order.version)?;
        let prepared = record::may_prepare(&folder, order.version)?;
        let dependencies = dependencies(&stack, &order.base, layout)?;
        if order.to_list {
            refuse::unsent(&unsent(&dependencies))?;
        }
        let (tree, _) = followed(&order.base, &order.series, session)?;
        Ok(Self {
            dependencies,
            results: results(order, &stack, &tree, session)?,
            tested: tested(&stack, &tree)?,
            series,
            folder,
            text,
            changes,
            earlier,
            prepared,
        })
    }
}

/// All series of the tree, and the last of them, which is mailed.
fn stack(order: &Order, session: &Session) -> Result<(Vec<Series>, Series)> {
    kernel::are_names("--series", &order.series)?;
    bases::find(&session.layout, &order.base)?;
    let load = |name: &String| series::load(&session.layout, &order.base, name);
    let stack: Vec<Series> = order.series.iter().map(load).collect::<Result<_>>()?;
    match stack.last() {
        Some(last) if !last.patches.is_empty() => {
            let last = last.clone();
            Ok((stack, last))
        }
        _ => Err(Kind::Usage.error(format!(
            "{} for base {} has no patch to mail",
            order.series.join(" and "),
            order.base
        ))),
    }
}

/// The series that are below the last, and what was sent of exactly these patches.
fn dependencies(stack: &[Series], base: &str, layout: &Layout) -> Result<Vec<Dependency>> {
    let below = stack.split_last().map_or(&[][..], |(_, below)| below);
    let mut found = Vec::new();
    for series in below {
        let records = record::all(&series::folder(layout, base, &series.name))?;
        let sent = records.into_iter().find(|record| {
            let patches = series.patches.iter().map(Patch::digest);
            record.is_sent() && patches.eq(record.patches.iter().map(|it| it.digest.clone()))
        });
        found.push(Dependency {
            series: series.name.clone(),
            sent: sent.and_then(|it| Some(format!("{}:v{}", it.change_id?, it.version))),
        });
    }
    Ok(found)
}

/// Those of the series that were not sent as they are.
pub fn unsent(dependencies: &[Dependency]) -> Vec<String> {
    let unsent = dependencies.iter().filter(|it| it.sent.is_none());
    unsent.map(|it| it.series.clone()).collect()
}

/// The commits of the last series, and what they stand on.
fn tested(stack: &[Series], tree: &Worked) -> Result<Tested> {
    let git = &tree.git;
    let last = stack.last().map_or(0, |series| series.patches.len());
    let first = format!("HEAD~{last}");
    Ok(Tested {
        repository: git.dir().to_owned(),
        base: tree.base.clone(),
        first: git.read(cmd!(git, "git rev-parse {first}"))?,
        tip: git.read(cmd!(git, "git rev-parse HEAD"))?,
    })
}

/// The table of the newest runs of exactly these patches on exactly this source, and of the source without them.
fn results(order: &Order, stack: &[Series], tree: &Worked, session: &Session) -> Result<String> {
    let base = &tree.base;
    let source = tree
        .git
        .read(cmd!(tree.git, "git rev-parse {base}'^{tree}'"))?;
    let runs = session.layout.runs();
    let runs = match runs.is_dir() && runs.read_dir_utf8()?.next().is_some() {
        true => inputs::read(&[runs]).or_fail(Kind::Usage)?.runs,
        false => Vec::new(),
    };
    let cases: Vec<CaseId> = select::runs(&select::choose(&[], &[])?, 1);
    let wanted = Wanted {
        base: &order.base,
        series: &order.series,
        patches: &results::applied(stack),
        source: Some(&source),
        cases: &cases,
    };
    let pair = results::newest(&runs, &wanted)?;
    Ok(results::table(pair, &cases, stack))
}
