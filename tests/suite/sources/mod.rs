//! Kinds of source.

mod foreign;
mod https;
pub(crate) mod hub;
mod mirrors;
mod pulling;
pub(crate) mod repository;
mod signed;
