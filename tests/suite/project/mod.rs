//! The publisher's side.

mod folder;
mod make;
mod publish;
mod recovery;
mod safety;
