//! The manager: a store and a server, and everything between them.

mod faults;
mod foreign;
mod index;
mod pull;
mod resume;
