//! What each module takes from which other.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use proc_macro2::{TokenStream, TokenTree};
use syn::spanned::Spanned as _;
use syn::visit::{self, Visit};
use syn::{Attribute, ImplItem, Item, Meta, Stmt, UseTree};

use crate::attributes::{self, is_for_tests, is_of_tests, leads_elsewhere};
use crate::scopes::Scopes;
use crate::sources::Module;

/// A path in one module that leads to another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Import {
    pub from: Module,
    pub line: usize,
    /// As it is written.
    pub text: String,
    /// The module that it leads to.
    pub to: Vec<String>,
}

/// The imports of all modules that are not for tests only.
pub fn all(src: &Path, modules: &[Module]) -> Vec<Import> {
    let parsed: Vec<_> = modules
        .iter()
        .map(|module| (module, parse(&src.join(&module.file))))
        .collect();
    let mut for_tests = BTreeSet::new();
    for (module, file) in &parsed {
        for_tests.extend(test_files(&module.path, &file.items));
    }
    let is_for_tests = |path: &[String]| (1..=path.len()).any(|n| for_tests.contains(&path[..n]));
    let known: BTreeSet<_> = modules.iter().map(|module| module.path.clone()).collect();
    let name = crate_name(src);
    let mut imports = Vec::new();
    for (module, file) in &parsed {
        if !is_for_tests(&module.path) {
            let mut finder = Finder {
                module,
                known: &known,
                scopes: Scopes::new(&known, name.as_deref(), &module.path, &file.items),
                found: Vec::new(),
            };
            finder.visit_file(file);
            imports.extend(finder.found);
        }
    }
    imports
}

fn parse(path: &Path) -> syn::File {
    let text = fs::read_to_string(path);
    let text = text.unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    syn::parse_file(&text).unwrap_or_else(|error| {
        let line = error.span().start().line;
        panic!("{}:{line}: {error}", path.display())
    })
}

/// As a program of the same package calls the library: the name in the manifest beside the sources.
fn crate_name(src: &Path) -> Option<String> {
    let manifest = fs::read_to_string(src.parent()?.join("Cargo.toml")).ok()?;
    let mut values = manifest.lines().filter_map(|line| line.split_once('='));
    let (_, name) = values.find(|(key, _)| key.trim() == "name")?;
    Some(name.trim().trim_matches('"').replace('-', "_"))
}

/// The modules that are declared for tests only, and have files of their own.
fn test_files(path: &[String], items: &[Item]) -> Vec<Vec<String>> {
    let declared = items.iter().filter_map(|item| match item {
        Item::Mod(item) if item.content.is_none() && is_for_tests(&item.attrs) => {
            Some(item.ident.to_string())
        }
        _ => None,
    });
    declared.map(|name| [path, &[name]].concat()).collect()
}

/// Goes through one file.
struct Finder<'a> {
    module: &'a Module,
    known: &'a BTreeSet<Vec<String>>,
    /// Of the place where it is.
    scopes: Scopes<'a>,
    found: Vec<Import>,
}

impl Finder<'_> {
    /// Takes note of a path, if it leads to another file of the crate.
    fn note(&mut self, segments: &[String], line: usize) {
        let Some(target) = self.scopes.resolve(segments) else {
            return;
        };
        // Without a root file the root is no module, and nothing can be meant by it.
        let Some(to) = self.file_of(&target.path) else {
            return;
        };
        let imported = target.imported.and_then(|path| self.file_of(&path));
        if imported.as_ref() == Some(&to) {
            return;
        }
        if to != self.module.path {
            self.found.push(Import {
                from: self.module.clone(),
                line,
                text: segments.join("::"),
                to,
            });
        }
    }

    /// The module with a file of its own that this path leads into.
    fn file_of(&self, path: &[String]) -> Option<Vec<String>> {
        let mut prefixes = (0..=path.len()).rev().map(|length| &path[..length]);
        let found = prefixes.find(|prefix| self.known.contains(*prefix));
        found.map(<[String]>::to_vec)
    }

    fn note_tree(&mut self, prefix: &[String], tree: &UseTree) {
        let line = tree.span().start().line;
        let with = |name: String| [prefix, &[name]].concat();
        match tree {
            UseTree::Path(path) => self.note_tree(&with(path.ident.to_string()), &path.tree),
            UseTree::Group(group) => {
                for tree in &group.items {
                    self.note_tree(prefix, tree);
                }
            }
            UseTree::Glob(_) => self.note(prefix, line),
            UseTree::Name(name) if name.ident == "self" => self.note(prefix, line),
            UseTree::Rename(name) if name.ident == "self" => self.note(prefix, line),
            UseTree::Name(name) => self.note(&with(name.ident.to_string()), line),
            UseTree::Rename(name) => self.note(&with(name.ident.to_string()), line),
        }
    }

    /// # Panics
    /// If the file of a module has another name than the module: it would be taken for another one.
    fn stands_in_its_place(&self, module: &syn::ItemMod) {
        let (name, line) = (&module.ident, module.span().start().line);
        assert!(
            !leads_elsewhere(module),
            "{}:{line}: #[path] takes the module {name} from elsewhere",
            self.module.file.display()
        );
    }

    /// Paths in what a macro is given: names apart by `::`.
    fn note_tokens(&mut self, tokens: TokenStream) {
        let mut path: Vec<String> = Vec::new();
        let (mut line, mut colons) = (0, 0);
        for token in tokens {
            match token {
                TokenTree::Punct(punct) if punct.as_char() == ':' => colons += 1,
                TokenTree::Ident(ident) => {
                    if colons != 2 {
                        self.note_end(&mut path, line);
                    } else if path.is_empty() {
                        // After a `::` that nothing is before, a name is one of another crate.
                        path.push(String::new());
                    }
                    line = ident.span().start().line;
                    path.push(ident.to_string());
                    colons = 0;
                }
                other => {
                    self.note_end(&mut path, line);
                    colons = 0;
                    if let TokenTree::Group(group) = other {
                        self.note_tokens(group.stream());
                    }
                }
            }
        }
        self.note_end(&mut path, line);
    }

    fn note_end(&mut self, path: &mut Vec<String>, line: usize) {
        if path.len() > 1 {
            self.note(path, line);
        }
        path.clear();
    }
}

impl<'ast> Visit<'ast> for Finder<'_> {
    fn visit_item(&mut self, item: &'ast Item) {
        if let Item::Mod(module) = item {
            self.stands_in_its_place(module);
        }
        if !is_for_tests(attributes::of(item)) {
            visit::visit_item(self, item);
        }
    }

    fn visit_impl_item(&mut self, item: &'ast ImplItem) {
        match item {
            ImplItem::Fn(function) if is_for_tests(&function.attrs) => {}
            _ => visit::visit_impl_item(self, item),
        }
    }

    fn visit_item_mod(&mut self, item: &'ast syn::ItemMod) {
        let items = item.content.as_ref().map_or(&[][..], |(_, items)| items);
        self.scopes.enter_module(item.ident.to_string(), items);
        visit::visit_item_mod(self, item);
        self.scopes.leave();
    }

    fn visit_block(&mut self, block: &'ast syn::Block) {
        let items = block.stmts.iter().filter_map(|statement| match statement {
            Stmt::Item(item) => Some(item),
            _ => None,
        });
        self.scopes.enter_block(items);
        visit::visit_block(self, block);
        self.scopes.leave();
    }

    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        if item.leading_colon.is_none() {
            self.note_tree(&[], &item.tree);
        }
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        // `self` is a value, and a name alone is defined or imported here.
        if path.leading_colon.is_none() && path.segments.len() > 1 {
            let names = path.segments.iter().map(|segment| &segment.ident);
            let segments: Vec<_> = names.map(ToString::to_string).collect();
            self.note(&segments, path.span().start().line);
        }
        visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, call: &'ast syn::Macro) {
        self.visit_path(&call.path);
        self.note_tokens(call.tokens.clone());
    }

    /// `pub(super)` takes nothing.
    fn visit_vis_restricted(&mut self, _: &'ast syn::VisRestricted) {}

    fn visit_attribute(&mut self, attribute: &'ast Attribute) {
        if is_of_tests(attribute) {
            return;
        }
        visit::visit_attribute(self, attribute);
        if let Meta::List(list) = &attribute.meta {
            self.note_tokens(list.tokens.clone());
        }
    }
}
