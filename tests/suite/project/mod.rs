//! The publisher's side.
