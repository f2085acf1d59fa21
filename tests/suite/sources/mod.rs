//! Kinds of source.

mod https;
mod mirrors;
mod repository;
mod signed;
