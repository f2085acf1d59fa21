//! How this crate touches the disk: a file is replaced as a whole, room is checked before it is needed, and names are
//! encoded so that every file system takes them.

pub(crate) mod names;
pub(crate) mod space;
pub(crate) mod usage;
pub(crate) mod write;
