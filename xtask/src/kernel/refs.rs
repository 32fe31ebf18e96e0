//! Names of what a work tree of ours remembers, and of trees that remember nothing.

/// Names the unpatched commit in each work tree; git keeps `refs/worktree` apart for each.
pub const BASE_REF: &str = "refs/worktree/base";
/// Names the commits of the patch files where a work tree with edits does not follow them.
pub const WANTED_REF: &str = "refs/worktree/wanted";
/// Below it, the commits of a work tree as they were before a `series rebase`.
pub const BEFORE_REFS: &str = "refs/worktree/before-rebase";
/// Below it, what of them was rebased when that was taken back.
pub const ABORTED_REFS: &str = "refs/worktree/aborted-rebase";

/// Ends the names of work trees that bisections move, and of the folders that they are built in.
pub const BISECT: &str = "@bisect";
