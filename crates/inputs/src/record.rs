//! Records that are not what their format says.

use thiserror::Error;

/// A record is not what the format says.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct BadRecord {
    /// Where it begins in the text of the file, after decompression, in bytes.
    pub offset: u64,
    /// Its number in the file, from 1: the line of JSON lines, the record of CSV. `None` where the
    /// read did not begin at the start of the file.
    pub number: Option<u64>,
    /// What is wrong.
    pub problem: Problem,
}

/// What is wrong with a record.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
pub enum Problem {
    /// It has fewer columns than the chosen one.
    #[error("the column is missing")]
    NoColumn,
    /// It is something else than a JSON object.
    #[error("not a JSON object")]
    NoObject,
    /// It does not follow the syntax of its format.
    #[error("invalid syntax")]
    Syntax,
    /// Its structure is nested more deeply than is allowed.
    #[error("nested too deeply")]
    TooDeep,
    /// It is larger than memory allows.
    #[error("too large")]
    TooLarge,
    /// The file ends within it.
    #[error("the file ends within it")]
    Unfinished,
    /// The chosen field holds something else than text.
    #[error("the field is not text")]
    WrongType,
}
