//! The publisher's side.

mod adding;
mod folder;
mod make;
mod publish;
