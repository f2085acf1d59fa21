//! The publisher's side.

mod adding;
mod example;
mod folder;
mod make;
mod publish;
mod recorded;
mod refusing;
mod searching;
mod status;
mod syncing;
mod versions;
mod walkthrough;
