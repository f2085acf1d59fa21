//! How this crate touches the disk: a file is replaced as a whole, room is checked before it is needed, what files take is
//! counted, names are encoded so that every file system takes them, folders are walked without what systems and tools leave
//! in them, and what tools put in the place of files is told from files.

pub(crate) mod leftovers;
pub(crate) mod names;
pub(crate) mod pointer;
pub(crate) mod space;
pub(crate) mod usage;
pub(crate) mod walk;
pub(crate) mod write;
