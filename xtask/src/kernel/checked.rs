//! A request whose every name was found good.

use camino::{Utf8Path, Utf8PathBuf};

use super::bases::{self, Base};
use super::config::{self, Fragment};
use super::present::{Found, Present};
use super::request::{Part, Request};
use super::source::Given;
use super::version::series_of;
use super::{build, tree};
use crate::event::{Event, Events};
use crate::failure::{Kind, Result};
use crate::host::layout::Layout;
use crate::host::session::Session;
use crate::series::{self, Series};

/// Ends the names of trees for [`Part::First`].
const CHECKED: &str = "@check";

/// A request whose every name was found good.
pub struct Checked<'a> {
    pub request: &'a Request,
    pub base: Base,
    pub fragments: Vec<Fragment>,
    /// Only the patches that are wanted.
    pub series: Vec<Series>,
    pub given: Option<Given>,
}

impl<'a> Checked<'a> {
    pub fn of(request: &'a Request, session: &Session) -> Result<Self> {
        let series = request
            .series
            .iter()
            .map(|name| series::load(&session.layout, &request.base, name))
            .collect::<Result<_>>()?;
        makeable(session.layout.root())?;
        Ok(Self {
            request,
            base: bases::find(&session.layout, &request.base)?,
            fragments: config::fragments(&session.layout, &request.base, &request.configs)?,
            series: match request.part {
                Part::Whole => series,
                Part::First(count) => series::first(series, count),
            },
            given: request
                .tree
                .as_deref()
                .map(|path| Given::check(path, &session.stop))
                .transpose()?,
        })
    }

    pub fn source_name(&self) -> String {
        let given = self.given.as_ref().map(Given::name);
        given.unwrap_or_else(|| self.base.name.clone())
    }

    pub fn tree_name(&self) -> String {
        let name = tree::name(&self.source_name(), &self.request.series);
        match self.request.part {
            Part::Whole => name,
            Part::First(_) => name + CHECKED,
        }
    }

    /// The series of the base that are not asked for, but may be in a tree. One that cannot be read is in none.
    pub fn others(&self, layout: &Layout) -> Vec<Series> {
        let names = series::known(layout, &self.request.base).into_iter();
        let others = names.filter(|name| !self.request.series.contains(name));
        let load = |name: String| series::load(layout, &self.request.base, &name).ok();
        others.filter_map(load).collect()
    }

    /// What a kernel has: the series that are asked for, and what is there of the others.
    pub fn names(&self, present: &Present<'_>, others: &[Series]) -> Vec<String> {
        let there = |series: &Series| {
            let of_it = |found: &&Found<'_>| found.series == series.name;
            match (
                present.there.iter().filter(of_it).count(),
                series.patches.len(),
            ) {
                (0, _) => None,
                (count, all) if count == all => Some(series.name.clone()),
                (count, all) => Some(format!("{} ({count} of {all} patches)", series.name)),
            }
        };
        let wanted = self.request.series.iter().cloned();
        wanted.chain(others.iter().filter_map(there)).collect()
    }

    /// Says what is there already, and that without anything applied it is no stock kernel then.
    pub fn tell(&self, present: &Present<'_>, names: &[String], events: &Events) {
        present.tell(events);
        if self.request.series.is_empty() && !names.is_empty() {
            events.send(Event::Warning(format!(
                "nothing is applied, but this is no stock kernel: the tree has {}, which is tested",
                names.join(" and ")
            )));
        }
    }

    /// Says if a tree is of another version than what will be done to it was made for.
    pub fn compare_versions(&self, session: &Session) -> Result<()> {
        let (Some(given), Some(wanted)) = (&self.given, self.base.version()) else {
            return Ok(());
        };
        let is_of = |version: &str| series_of(given.version()) == version;
        if is_of(wanted) {
            return Ok(());
        }
        let bases = bases::load(&session.layout)?.into_iter();
        let mut nearer = bases.filter(|base| base.version().is_some_and(is_of));
        let hint = nearer.next().map_or(String::new(), |base| {
            format!(
                "; --base {} is for {}",
                base.name,
                series_of(given.version())
            )
        });
        session.events.send(Event::Warning(format!(
            "--tree is Linux {}, while the patches and options of --base {} are for {wanted}{hint}",
            given.version(),
            self.base.name
        )));
        Ok(())
    }

    pub fn folder(&self, layout: &Layout) -> Utf8PathBuf {
        build::folder(layout, &self.tree_name(), &self.request.configs)
    }
}

/// The kernel's makefiles refuse such paths, in words that help nobody.
fn makeable(root: &Utf8Path) -> Result<()> {
    if root
        .as_str()
        .contains(|char: char| char.is_whitespace() || char == ':')
    {
        return Err(Kind::Machinery.error(format!("kernels cannot be built under {root:?}: make takes no spaces or colons in paths; move the checkout")));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_that_make_takes() {
        for (path, fine) in [("/srv/x", true), ("/home/a b/c", false), ("/x:y", false)] {
            assert_eq!(makeable(Utf8Path::new(path)).is_ok(), fine, "{path}");
        }
    }
}
