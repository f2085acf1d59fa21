//! Kinds of source.

mod foreign;
mod https;
pub(crate) mod hub;
mod mirrors;
mod pulling;
mod repository;
mod signed;
