//! The publisher's side.

pub mod formats;
mod make;
mod publish;
#[cfg_attr(
    not(test),
    expect(
        dead_code,
        unused_imports,
        reason = "the checks of a project's registry are to ask it"
    )
)]
mod python;

pub use make::{MakeOptions, MakeOrigin, MakeReport, RegistryMaker, RepositoryRef};
pub use publish::{DEFAULT_CHUNK_BYTES, PublishOptions, PublishReport, publish};
