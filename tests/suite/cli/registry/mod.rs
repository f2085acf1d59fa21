//! The publisher's commands: `registry …`.

mod commands;
mod elsewhere;
mod importing;
mod making;
mod processes;
mod pruning;
mod publishing;
mod pushing;
mod transcript;
pub(super) mod workshop;
