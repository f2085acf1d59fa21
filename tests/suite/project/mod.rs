//! The publisher's side.

mod adding;
mod cutting;
mod example;
mod folder;
mod foreign;
mod hostile;
mod import;
mod layouts;
mod leftovers;
mod make;
mod outside;
mod progress;
mod publish;
mod publish_oci;
mod recorded;
mod recovery;
mod refusing;
mod report;
mod safety;
mod searching;
mod singles;
mod status;
mod switches;
mod syncing;
mod versions;
mod walkthrough;
