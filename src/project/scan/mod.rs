//! What the files of a project say: models among them, their formats, their code and their digests.

pub mod formats;
pub(in crate::project) mod hash;
#[cfg_attr(
    not(feature = "python"),
    allow(dead_code, reason = "nothing is found in what is not read")
)]
pub(in crate::project) mod python;
pub(in crate::project) mod survey;
pub(in crate::project) mod walk;
