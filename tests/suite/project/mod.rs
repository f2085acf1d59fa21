//! The publisher's side.

mod example;
mod make;
mod publish;
