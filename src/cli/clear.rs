//! `clear`: remove cached registries.

use clap::{ArgMatches, Command};

use super::args::{self, string};
use super::ending::CliResult;
use super::session::Session;
use super::{Mount, render};
use crate::ClearOptions;

pub(super) fn command(command: Command, mount: &Mount) -> Command {
    command
        .about("Remove cached registries; installed models are kept")
        .arg(args::source(mount))
        .arg(args::reference(
            mount,
            "Only this ref, of every source unless --source is given",
        ))
        .args(args::yes(mount))
        .after_help(args::examples(
            mount,
            &[
                ("clear", "all, after confirmation"),
                (
                    "clear --source mf6/test --ref develop -y",
                    "one, without confirmation",
                ),
            ],
        ))
}

pub(super) fn execute(session: &mut Session, matches: &ArgMatches) -> CliResult {
    let mut options = ClearOptions::default();
    (options.source, options.reference) =
        (string(matches, args::SOURCE), string(matches, args::REF));
    let plan = session.manager.plan_clear(&options)?;
    if plan.registries.is_empty() {
        return match session.output.json {
            true => session.json(&plan),
            false => session.say("No registry is cached."),
        };
    }
    let number = match plan.registries.len() {
        1 => "1 cached registry".to_owned(),
        several => format!("{several} cached registries"),
    };
    session.confirm(&format!("Remove {number} ({})?", render::size(plan.bytes)))?;
    let cleared = session.manager.clear(&options)?;
    if session.output.json {
        return session.json(&cleared);
    }
    for registry in &cleared.registries {
        let name = render::source_at_ref(&registry.name, registry.reference.as_deref());
        session.say(format!("Removed the registry of {name}"))?;
    }
    session.say(format!("Freed {}", render::size(cleared.bytes)))
}
