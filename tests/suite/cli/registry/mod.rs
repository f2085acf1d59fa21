//! The publisher's commands: `registry …`.

mod commands;
mod elsewhere;
mod importing;
mod making;
mod processes;
mod publishing;
pub(super) mod workshop;
