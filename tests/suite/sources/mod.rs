//! Kinds of source.

mod mirrors;
mod signed;
