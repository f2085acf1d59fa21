//! `clear`: remove cached registries.

use clap::{ArgMatches, Command};

use super::args::{self, flag, string};
use super::failure::CliResult;
use super::session::Session;
use super::{Mount, render};
use crate::ClearOptions;
use crate::remote::ClearPlan;

pub(super) const EXAMPLES: &str = "
    clear                                     all, after confirmation
    clear --source mf6/test --ref develop -y  one, without asking
";

pub(super) fn command(command: Command, mount: &Mount) -> Command {
    let of_every_source = "Only this ref, of every source unless --source is given";
    command
        .about("Remove cached registries; installed models are kept")
        .arg(args::source(mount))
        .arg(args::reference(mount, of_every_source))
        // All are the default.
        .arg(
            flag(args::ALL)
                .hide(true)
                .conflicts_with_all([args::SOURCE, args::REF]),
        )
        .args(args::yes(mount).map(|yes| yes.alias("force")))
}

pub(super) fn execute(session: &Session, matches: &ArgMatches) -> CliResult {
    let options = ClearOptions {
        source: string(matches, args::SOURCE),
        reference: string(matches, args::REF),
    };
    let plan = session.manager.plan_clear(&options)?;
    let number = match plan.registries.len() {
        0 => return session.show(&plan, || session.say("No registry is cached.")),
        1 => "1 cached registry".to_owned(),
        several => format!("{several} cached registries"),
    };
    session.confirm(&format!("Remove {number} ({})?", render::size(plan.bytes)))?;
    let cleared = session.manager.clear(&options)?;
    session.show(&cleared, || print(session, &cleared))
}

fn print(session: &Session, cleared: &ClearPlan) -> CliResult {
    for registry in &cleared.registries {
        let name = render::source_at_ref(&registry.name, registry.reference.as_deref());
        session.say(format!("Removed the registry of {name}"))?;
    }
    session.say(format!("Freed {}", render::size(cleared.bytes)))
}
