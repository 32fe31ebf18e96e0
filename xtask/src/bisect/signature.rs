//! What makes two failures the same.

use crate::event::CaseResult;

use super::Signature;

impl Signature {
    /// Of a run that failed.
    pub fn of(result: &CaseResult) -> Option<Self> {
        let _ = result;
        todo!()
    }
}
