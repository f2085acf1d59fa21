//! Kinds of source.

mod foreign;
mod https;
pub(crate) mod hub;
mod mirrors;
mod oci;
mod proxies;
mod pulling;
pub(crate) mod repository;
mod responses;
mod s3;
mod sharded;
mod signed;
