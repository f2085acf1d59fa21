//! `registry`: the publisher's side, one command per file.

mod add;
mod import;
mod list;
mod make;
mod notes;
mod project;
mod prune;
mod publish;
mod remedy;
mod remove;
mod report;
mod search;
mod show;
mod status;
mod sync;

use clap::{ArgMatches, Command};

use super::failure::CliResult;
use super::session::Session;
use super::{Mount, Verb};

const PATHS: &str = "modelrack_paths";
const STATUS: &str = "modelrack_status";
const OUTPUT: &str = "modelrack_output";
/// What most of the commands do first.
const READING: &str = "Reading the files";

/// The commands, in the order of the help.
const VERBS: &[Verb] = &[
    verb!(add),
    verb!(remove, "rm"),
    verb!(list, "ls"),
    verb!(show),
    verb!(search),
    verb!(status),
    verb!(sync),
    verb!(make),
    verb!(import),
    verb!(publish, "push"),
    verb!(prune),
    verb!(report),
];

/// Only its commands have examples.
pub(super) const EXAMPLES: &str = "";

pub(super) fn command(command: Command, mount: &Mount) -> Command {
    let group = command
        .about("Publish models for others to pull")
        .subcommand_required(true)
        .arg_required_else_help(true);
    Verb::add_all(VERBS, group, mount)
}

pub(super) fn execute(session: &Session, matches: &ArgMatches) -> CliResult {
    let (verb, matches) = Verb::chosen(VERBS, matches)?;
    (verb.execute)(session, matches)
}
