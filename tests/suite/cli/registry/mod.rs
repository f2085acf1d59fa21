//! The publisher's commands: `registry …`.

mod commands;
mod elsewhere;
mod importing;
mod making;
mod processes;
mod publishing;
mod pushing;
pub(super) mod workshop;
