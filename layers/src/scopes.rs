//! What a name means at one place of a file.

use std::collections::{BTreeMap, BTreeSet};

use syn::{Item, UseTree};

use crate::attributes::{self, is_for_tests};

/// How far a name is followed from `use` to `use`.
const FAR: usize = 8;

/// The module at one place of a file, which may be one inside it, and the blocks there.
#[derive(Debug)]
pub struct Scopes<'a> {
    known: &'a BTreeSet<Vec<String>>,
    /// How a program of the same package calls the library.
    name: Option<&'a str>,
    /// From the outside in.
    open: Vec<Scope>,
}

/// What one module or block brings in.
#[derive(Debug)]
struct Scope {
    /// The module that it is, or is in.
    module: Vec<String>,
    is_block: bool,
    /// Modules that are written out here.
    modules: BTreeSet<String>,
    /// Paths as they are written, by the names that they get.
    names: BTreeMap<String, Vec<String>>,
    /// Of modules of which all names are brought in.
    globs: Vec<Vec<String>>,
}

/// Where a path leads.
#[derive(Clone, Debug)]
pub struct Target {
    /// From the root of the crate.
    pub path: Vec<String>,
    /// Where the `use` leads that its first name comes from, which is an import itself.
    pub imported: Option<Vec<String>>,
}

impl<'a> Scopes<'a> {
    /// At the outermost place of a file.
    pub fn new(
        known: &'a BTreeSet<Vec<String>>,
        name: Option<&'a str>,
        module: &[String],
        items: &[Item],
    ) -> Scopes<'a> {
        Scopes {
            known,
            name,
            open: vec![Scope::new(module.to_vec(), false, items.iter())],
        }
    }

    /// Goes into a module of this file.
    pub fn enter_module(&mut self, name: String, items: &[Item]) {
        let module = [self.here(), &[name]].concat();
        self.open.push(Scope::new(module, false, items.iter()));
    }

    /// Goes into a block with these items.
    pub fn enter_block<'b>(&mut self, items: impl Iterator<Item = &'b Item>) {
        let module = self.here().to_vec();
        self.open.push(Scope::new(module, true, items));
    }

    /// Goes out of what was entered last.
    pub fn leave(&mut self) {
        self.open.pop();
    }

    fn here(&self) -> &[String] {
        self.open.last().map_or(&[], |scope| &scope.module)
    }

    /// `None` if the path leads out of the crate, or to something that is defined here.
    pub fn resolve(&self, segments: &[String]) -> Option<Target> {
        self.resolve_at(self.open.len() - 1, segments, FAR)
    }

    fn resolve_at(&self, at: usize, segments: &[String], far: usize) -> Option<Target> {
        let (first, mut rest) = segments.split_first()?;
        let here = &self.open[at].module;
        let plain = |path| Target {
            path,
            imported: None,
        };
        let mut target = match first.as_str() {
            "crate" => plain(Vec::new()),
            "self" => plain(here.clone()),
            "super" => plain(parent(here)?),
            name if Some(name) == self.name => plain(Vec::new()),
            name => self.find(at, name, far)?,
        };
        while let Some((word, after)) = rest.split_first()
            && word == "super"
        {
            target.path = parent(&target.path)?;
            rest = after;
        }
        // Of a module of this file, what it brings in is known.
        if let Some((word, after)) = rest.split_first()
            && let Some(outside) = self.outside(at, &target.path)
            && let Some(found) = self.find(outside, word, far)
        {
            target = found;
            rest = after;
        }
        target.path.extend_from_slice(rest);
        Some(target)
    }

    /// What a name alone leads to, as seen from a scope.
    fn find(&self, at: usize, name: &str, far: usize) -> Option<Target> {
        let far = far.checked_sub(1)?;
        let blocks = self.open[..=at].iter().rev().take_while(|it| it.is_block);
        let module = at - blocks.count();
        for inside in (module..=at).rev() {
            let scope = &self.open[inside];
            let child = [&scope.module[..], &[name.to_owned()]].concat();
            let has_file = !scope.is_block && self.known.contains(&child);
            if has_file || scope.modules.contains(name) {
                return Some(Target {
                    path: child,
                    imported: None,
                });
            }
            if let Some(path) = scope.names.get(name) {
                let path = self.resolve_at(inside, path, far)?.path;
                return Some(Target {
                    imported: Some(path.clone()),
                    path,
                });
            }
        }
        (module..=at)
            .rev()
            .flat_map(|inside| self.open[inside].globs.iter().map(move |it| (inside, it)))
            .find_map(|(inside, glob)| self.find_in(inside, glob, name, far))
    }

    /// What the name leads to if it comes with all others of a module.
    fn find_in(&self, at: usize, glob: &[String], name: &str, far: usize) -> Option<Target> {
        // Half as far, as each of them may lead to all others.
        let far = far / 2;
        let module = self.resolve_at(at, glob, far)?.path;
        if let Some(outside) = self.outside(at, &module) {
            return self.find(outside, name, far);
        }
        let child = [&module[..], &[name.to_owned()]].concat();
        self.known.contains(&child).then_some(Target {
            path: child,
            imported: Some(module),
        })
    }

    /// The scope of this module, if it is there or around that.
    fn outside(&self, at: usize, module: &[String]) -> Option<usize> {
        let mut scopes = self.open[..=at].iter();
        scopes.position(|scope| !scope.is_block && scope.module == module)
    }
}

impl Scope {
    fn new<'a>(
        module: Vec<String>,
        is_block: bool,
        items: impl Iterator<Item = &'a Item>,
    ) -> Scope {
        let mut scope = Scope {
            module,
            is_block,
            modules: BTreeSet::new(),
            names: BTreeMap::new(),
            globs: Vec::new(),
        };
        for item in items.filter(|item| !is_for_tests(attributes::of(item))) {
            match item {
                Item::Use(item) => {
                    // After a `::` that nothing is before, a name is one of another crate.
                    let prefix = item.leading_colon.as_ref().map(|_| String::new());
                    scope.bring_in(prefix.as_slice(), &item.tree);
                }
                Item::ExternCrate(item) if item.ident == "self" => {
                    if let Some((_, name)) = &item.rename {
                        scope.bind(name.to_string(), vec!["crate".to_owned()]);
                    }
                }
                Item::Mod(item) if item.content.is_some() => {
                    scope.modules.insert(item.ident.to_string());
                }
                _ => {}
            }
        }
        scope
    }

    fn bring_in(&mut self, prefix: &[String], tree: &UseTree) {
        let with = |name: String| [prefix, &[name]].concat();
        match tree {
            UseTree::Path(path) => self.bring_in(&with(path.ident.to_string()), &path.tree),
            UseTree::Group(group) => {
                for tree in &group.items {
                    self.bring_in(prefix, tree);
                }
            }
            UseTree::Glob(_) => self.globs.push(prefix.to_vec()),
            UseTree::Name(name) if name.ident == "self" => {
                if let Some(last) = prefix.last() {
                    self.bind(last.clone(), prefix.to_vec());
                }
            }
            UseTree::Rename(name) if name.ident == "self" => {
                self.bind(name.rename.to_string(), prefix.to_vec());
            }
            UseTree::Name(name) => {
                let name = name.ident.to_string();
                self.bind(name.clone(), with(name));
            }
            UseTree::Rename(name) => {
                self.bind(name.rename.to_string(), with(name.ident.to_string()));
            }
        }
    }

    fn bind(&mut self, name: String, path: Vec<String>) {
        // `use x::x` brings in something that is no module: before `::`, the name is that of the other.
        if path.first() != Some(&name) {
            self.names.insert(name, path);
        }
    }
}

fn parent(path: &[String]) -> Option<Vec<String>> {
    path.split_last().map(|(_, parent)| parent.to_vec())
}
