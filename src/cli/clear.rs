//! `clear`: remove cached registries.

use clap::{ArgMatches, Command};

use super::args::{self, text};
use super::ending::CliResult;
use super::session::Session;
use super::{Mount, render};
use crate::ClearOptions;

pub(super) fn command(command: Command, mount: &Mount) -> Command {
    command
        .about("Remove cached registries; installed models stay")
        .arg(args::source(mount))
        .arg(args::reference(
            mount,
            "Only of this ref, of every source when none is named",
        ))
        .args(args::yes(mount))
        .after_help(args::examples(
            mount,
            &[
                ("clear", "all, asks first"),
                (
                    "clear --source mf6/test --ref develop -y",
                    "one, does not ask",
                ),
            ],
        ))
}

pub(super) fn execute(session: &mut Session, matches: &ArgMatches) -> CliResult {
    let owned = |id: &str| text(matches, id).map(str::to_owned);
    let options = ClearOptions::default()
        .source(owned(args::SOURCE))
        .reference(owned(args::REF));
    let plan = session.manager.plan_clear(&options)?;
    if plan.registries.is_empty() {
        if session.output.json {
            return session.json(&plan);
        }
        return session.say("No registry is cached.");
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
        let reference = registry
            .reference
            .iter()
            .map(|reference| format!("@{reference}"));
        let name = format!("{}{}", registry.name, reference.collect::<String>());
        session.say(format!("Removed the registry of {}", render::safe(&name)))?;
    }
    session.say(format!("{} freed", render::size(cleared.bytes)))
}
