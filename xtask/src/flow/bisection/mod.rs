//! Which commit broke freezing, with proof.

mod judge;
