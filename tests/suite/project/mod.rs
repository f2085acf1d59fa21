//! The publisher's side.

mod publish;
