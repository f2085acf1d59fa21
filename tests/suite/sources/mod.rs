//! Kinds of source.

mod foreign;
mod https;
mod hub;
mod mirrors;
mod pulling;
mod repository;
mod signed;
