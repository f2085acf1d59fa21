//! What the files of a project say: models among them, their formats, their code and their digests.

pub mod formats;
pub(in crate::project) mod hash;
pub(in crate::project) mod python;
pub(in crate::project) mod survey;
pub(in crate::project) mod walk;
