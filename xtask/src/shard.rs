//! `--shard K/N`: the Kth of N shares of a list of cases, for as many machines.

use std::fmt;
use std::str::FromStr;

use anyhow::{Context, bail};
use serde::{Deserialize, Serialize};

use crate::event::CaseId;
use crate::failure::{Kind, Result};
use crate::words::there;

/// `K/N`, with K from 1 to N.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Shard {
    number: usize,
    of: usize,
}

/// A share, and what it is a share of: enough to tell what the others have not run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    pub shard: Shard,
    pub whole: Vec<CaseId>,
}

/// The cases of a run: a whole list, or a part of one.
#[derive(Clone, Debug)]
pub struct Wanted {
    pub cases: Vec<CaseId>,
    pub part: Option<Part>,
}

impl Shard {
    /// All that the list is divided into.
    pub fn siblings(self) -> impl Iterator<Item = Self> {
        let of = self.of;
        (1..=of).map(move |number| Self { number, of })
    }

    /// Every Nth case from the Kth on: cases of a kind, which take about as long, follow one another.
    pub fn share(self, whole: &[CaseId]) -> Vec<CaseId> {
        let own = whole.iter().skip(self.number - 1).step_by(self.of);
        own.cloned().collect()
    }
}

impl Wanted {
    /// # Errors
    /// [`Kind::Usage`] if the share is empty: a run of nothing would look like a pass.
    pub fn of(whole: Vec<CaseId>, shard: Option<Shard>) -> Result<Self> {
        let Some(shard) = shard else {
            let (cases, part) = (whole, None);
            return Ok(Self { cases, part });
        };
        let cases = shard.share(&whole);
        if cases.is_empty() {
            return Err(Kind::Usage.error(format!(
                "--shard {shard} has nothing to do: {} in all",
                there(whole.len(), "case")
            )));
        }
        let part = Some(Part { shard, whole });
        Ok(Self { cases, part })
    }
}

impl FromStr for Shard {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> anyhow::Result<Self> {
        let (number, of) = text.split_once('/').context("not of the form K/N")?;
        let (number, of) = (number.parse()?, of.parse()?);
        if number == 0 || number > of {
            bail!("the first number must be from 1 to {of}");
        }
        Ok(Self { number, of })
    }
}

impl fmt::Display for Shard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.number, self.of)
    }
}

impl TryFrom<String> for Shard {
    type Error = anyhow::Error;

    fn try_from(text: String) -> anyhow::Result<Self> {
        text.parse()
    }
}

impl From<Shard> for String {
    fn from(shard: Shard) -> Self {
        shard.to_string()
    }
}

#[cfg(test)]
mod tests {
    use harness::wire::Filesystem::Ext3;

    use super::*;

    fn cases(count: usize) -> Vec<CaseId> {
        let id = |number| CaseId {
            filesystem: Ext3,
            case: format!("case_{number}"),
            repeat: 0,
        };
        (0..count).map(id).collect()
    }

    #[test]
    fn what_is_a_shard() {
        for good in ["1/1", "1/3", "3/3"] {
            assert_eq!(good.parse::<Shard>().unwrap().to_string(), good);
        }
        for bad in ["", "1", "0/3", "4/3", "1/0", "-1/3", "1/3/5", "a/b", "1/"] {
            assert!(bad.parse::<Shard>().is_err(), "{bad}");
        }
    }

    #[test]
    fn shares_are_disjoint_and_cover_all() {
        for (count, of) in [(104, 1), (104, 2), (104, 3), (7, 7), (3, 5), (1, 2)] {
            let whole = cases(count);
            let first: Shard = format!("1/{of}").parse().unwrap();
            let shares: Vec<_> = first.siblings().map(|it| it.share(&whole)).collect();
            let longest = shares.iter().map(Vec::len).max().unwrap();
            assert!(shares.iter().all(|share| longest - share.len() <= 1));
            let (mut all, mut wanted) = (shares.concat(), whole);
            all.sort();
            wanted.sort();
            assert_eq!(all, wanted, "{count} cases, {of} shards");
        }
    }

    #[test]
    fn an_empty_share_is_an_error() {
        let shard = |text: &str| Some(text.parse().unwrap());
        assert_eq!(Wanted::of(cases(3), shard("3/4")).unwrap().cases.len(), 1);
        let failure = Wanted::of(cases(3), shard("4/4")).unwrap_err();
        assert_eq!(failure.kind, Kind::Usage);
        assert!(failure.to_string().contains("nothing to do"), "{failure}");
    }
}
