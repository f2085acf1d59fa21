//! The publisher's side.

pub mod formats;
mod make;
mod publish;

pub use make::{MakeOptions, MakeOrigin, MakeReport, RegistryMaker, RepositoryRef};
pub use publish::{DEFAULT_CHUNK_BYTES, PublishOptions, PublishReport, publish};
