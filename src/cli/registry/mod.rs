//! `registry`: the publisher's side, one verb a file.

mod make;
mod publish;

use clap::{ArgMatches, Command};

use super::ending::CliResult;
use super::session::Session;
use super::{Mount, args};
use crate::Error;

pub(super) fn command(mount: &Mount) -> Command {
    Command::new("registry")
        .about("Publish models for others to pull")
        .subcommand_required(true)
        .arg_required_else_help(true)
        .subcommand(make::command(mount).args(args::tree_flags(mount)))
        .subcommand(publish::command(mount).args(args::tree_flags(mount)))
}

pub(super) fn execute(session: &mut Session, matches: &ArgMatches) -> CliResult {
    match matches.subcommand() {
        Some(("make", matches)) => make::execute(session, matches),
        Some(("publish", matches)) => publish::execute(session, matches),
        _ => Err(Error::argument("a command is missing").into()),
    }
}
