//! `path`: the folder of an installed model, and nothing else.

use clap::{ArgMatches, Command};

use super::Mount;
use super::args::{self, Which};
use super::ending::CliResult;
use super::session::Session;

pub(super) fn command(command: Command, mount: &Mount) -> Command {
    command
        .about("Print the folder of an installed model and nothing else")
        .args(args::model(mount, Which::Installed, true))
        .after_help(args::examples(
            mount,
            &[("path fast-whisper/tiny fp16", "for scripts: cd \"$(…)\"")],
        ))
}

pub(super) fn execute(session: &mut Session, matches: &ArgMatches) -> CliResult {
    let path = session.manager.path(&args::address(matches)?)?;
    let path = Session::show_path(&path);
    if session.output.json {
        return session.json(&serde_json::json!({ "path": path }));
    }
    session.console.print(path)?;
    Ok(())
}
