//! Kinds of source.

mod https;
mod hub;
mod mirrors;
mod pulling;
mod repository;
mod signed;
