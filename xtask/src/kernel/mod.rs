//! From a base or a tree to a kernel that boots: source, tree, config, build.

mod advice;
pub mod apply;
#[cfg(test)]
mod as_git_am;
pub mod bases;
pub mod build;
pub mod carried;
mod ccache;
pub mod checked;
mod checkout;
mod cherry;
pub mod commit;
pub mod compiler;
pub mod config;
pub mod desk;
pub mod moving;
pub mod mutant;
mod opened;
mod prepare;
mod present;
pub mod programs;
pub mod refs;
pub mod request;
#[cfg(test)]
pub mod shop;
pub mod source;
pub mod standing;
pub mod tree;
pub mod version;
pub mod worked;

pub use prepare::{
    Kernel, SeriesCommits, are_names, checked, commits_of_series, of_each_base, prepare,
    provide_tree, require_stock,
};
