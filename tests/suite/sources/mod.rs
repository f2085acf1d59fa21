//! Kinds of source.

mod https;
mod mirrors;
mod signed;
