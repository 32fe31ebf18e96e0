//! What differs, as data.

/// What there is to say of a patch, or of a pair of them.
#[derive(Debug, PartialEq, Eq)]
pub enum Entry {
    /// Only the old series has it.
    Gone(Title),
    /// Only the new series has it.
    Come(Title),
    Pair(Pair),
}

/// Which of the two bases has something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    Old,
    New,
    Both,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Title {
    /// Counts from 1.
    pub place: usize,
    pub subject: String,
}

#[derive(Debug, PartialEq, Eq)]
pub struct Pair {
    pub old: Title,
    pub new: Title,
    /// Whether it comes before or after other patches than there.
    pub moved: bool,
    /// Nothing of it where nothing differs.
    pub parts: Vec<Part>,
}

/// A part of a patch that is not the same: the message, a file.
#[derive(Debug, PartialEq, Eq)]
pub struct Part {
    pub name: String,
    pub blocks: Vec<Block>,
}

/// Lines that stand together.
#[derive(Debug, PartialEq, Eq)]
pub struct Block {
    /// The function before its first line, or whatever git takes for one; none in a text.
    pub function: String,
    pub rows: Vec<Row>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    pub side: Side,
    pub kind: Kind,
    pub text: String,
}

/// What a line is in its patch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// Of a message, or of what is said of a file as a whole.
    Text,
    Added,
    Removed,
    Context,
}

impl Row {
    /// Whether this is a difference, and not there to help read one.
    pub fn counts(&self) -> bool {
        self.side != Side::Both && self.kind != Kind::Context
    }
}

impl Pair {
    pub fn differs(&self) -> bool {
        self.moved || !self.parts.is_empty()
    }
}
