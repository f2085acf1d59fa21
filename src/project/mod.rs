//! The publisher's side.

mod publish;

pub use publish::{DEFAULT_CHUNK_BYTES, PublishOptions, PublishReport, publish};
