//! The publisher's side.

mod make;
mod publish;
mod safety;
