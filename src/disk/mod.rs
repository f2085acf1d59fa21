//! How this crate touches the disk: a file is replaced as a whole, room is checked before it is needed, what files take is
//! counted, names are encoded so that every file system takes them, and folders are walked without what systems and tools
//! leave in them.

pub(crate) mod leftovers;
pub(crate) mod names;
pub(crate) mod space;
pub(crate) mod usage;
pub(crate) mod walk;
pub(crate) mod write;
