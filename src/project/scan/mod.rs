//! What the files of a project say: models among them, their formats, their code and their digests.

pub mod formats;
pub(crate) mod hash;
#[cfg_attr(
    not(feature = "python"),
    allow(dead_code, reason = "nothing is found in what is not read")
)]
pub(crate) mod python;
pub(crate) mod survey;
pub(crate) mod walk;
