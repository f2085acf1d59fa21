//! From what a person types to what sources offer: address → reading → offer; lists and searches.

pub(crate) mod list;
pub(crate) mod matching;
pub(crate) mod offer;
pub(crate) mod reading;
pub(crate) mod search;
