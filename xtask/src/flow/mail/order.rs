//! What is asked for.

use camino::Utf8PathBuf;

use crate::mail::base::Upstream;
use crate::mail::identity::Identity;

/// What is to be mailed, and as what.
#[derive(Debug)]
pub struct Order {
    pub base: String,
    /// Those of the work tree, in order; the mails are of the last.
    pub series: Vec<String>,
    pub version: u32,
    /// Where the public base is; on the server of its kernel if nothing is said.
    pub upstream: Option<Upstream>,
    /// The public base; the tag of the version that was tested if nothing is said.
    pub onto: Option<String>,
    pub rfc: bool,
    /// Refuse what else is only listed for the person who sends.
    pub to_list: bool,
    pub install: bool,
}

/// Programs and people that the mails are made by.
#[derive(Debug)]
pub struct Maker {
    pub b4: Utf8PathBuf,
    pub identity: Identity,
}
