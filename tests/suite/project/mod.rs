//! The publisher's side.

mod import;
mod make;
mod publish;
mod report;
