//! Who watches guests, deals their cases, and says what each case came to.

mod clock;
mod deal;
mod ledger;
pub mod queue;
pub mod supervisor;
