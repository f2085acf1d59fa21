//! The manager: a store and a server, and everything between them.

mod cancel;
mod clones;
mod concurrency;
mod connections;
mod damage;
mod disks;
mod faults;
mod fixture;
mod foreign;
mod hostile;
mod index;
mod locks;
mod names;
mod partials;
mod plans;
mod power_cuts;
mod pull;
mod ranges;
mod redirects;
mod resume;
mod settings;
mod update;
mod usage;
mod verify;
mod waits;
mod workspace;
