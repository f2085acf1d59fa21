//! Kinds of source.

mod https;
mod mirrors;
mod pulling;
mod repository;
mod signed;
