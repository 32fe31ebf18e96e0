//! What attributes say.

use proc_macro2::{TokenStream, TokenTree};
use syn::{Attribute, Item, ItemMod, Meta};

/// `#[test]`, `#[cfg(test)]`, `#[cfg(all(test, ...))]`; neither `#[cfg(not(test))]` nor `#[cfg(any(test, ...))]`.
pub fn is_for_tests(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| match &attribute.meta {
        Meta::Path(path) => path.is_ident("test"),
        Meta::List(list) if list.path.is_ident("cfg") => {
            let words = idents(list.tokens.clone());
            let has = |wanted: &str| words.iter().any(|word| word == wanted);
            has("test") && !has("not") && !has("any")
        }
        _ => false,
    })
}

/// `#[cfg_attr(test, ...)]`
pub fn is_of_tests(attribute: &Attribute) -> bool {
    given(attribute, "cfg_attr")
        .first()
        .is_some_and(|word| word == "test")
}

/// `#[path = "..."]`, also if it is not always there.
pub fn leads_elsewhere(module: &ItemMod) -> bool {
    let mut attributes = module.attrs.iter();
    attributes.any(|attribute| {
        let sometimes = given(attribute, "cfg_attr");
        attribute.path().is_ident("path") || sometimes.iter().any(|word| word == "path")
    })
}

/// The names that a list is given; none if it is another list.
fn given(attribute: &Attribute, list: &str) -> Vec<String> {
    match &attribute.meta {
        Meta::List(it) if it.path.is_ident(list) => idents(it.tokens.clone()),
        _ => Vec::new(),
    }
}

fn idents(tokens: TokenStream) -> Vec<String> {
    tokens
        .into_iter()
        .flat_map(|token| match token {
            TokenTree::Ident(ident) => vec![ident.to_string()],
            TokenTree::Group(group) => idents(group.stream()),
            _ => Vec::new(),
        })
        .collect()
}

/// Those of an item.
pub fn of(item: &Item) -> &[Attribute] {
    match item {
        Item::Const(item) => &item.attrs,
        Item::Enum(item) => &item.attrs,
        Item::ExternCrate(item) => &item.attrs,
        Item::Fn(item) => &item.attrs,
        Item::Impl(item) => &item.attrs,
        Item::Macro(item) => &item.attrs,
        Item::Mod(item) => &item.attrs,
        Item::Static(item) => &item.attrs,
        Item::Struct(item) => &item.attrs,
        Item::Trait(item) => &item.attrs,
        Item::Type(item) => &item.attrs,
        Item::Union(item) => &item.attrs,
        Item::Use(item) => &item.attrs,
        _ => &[],
    }
}
