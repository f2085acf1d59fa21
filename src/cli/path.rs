//! `path`: print the folder of an installed model.

use clap::{ArgMatches, Command};
use serde_json::json;

use super::Mount;
use super::args::{self, Which};
use super::failure::CliResult;
use super::session::Session;

pub(super) const EXAMPLES: &str = r#"
    path fast-whisper/tiny fp16  for scripts: cd "$(...)"
"#;

pub(super) fn command(command: Command, mount: &Mount) -> Command {
    command
        .about("Print the folder of an installed model, and nothing else")
        .args(args::model(mount, Which::Installed, true))
}

pub(super) fn execute(session: &Session, matches: &ArgMatches) -> CliResult {
    let path = session.manager.path(&args::address(matches)?)?;
    let path = path.display();
    session.show(&json!({ "path": path.to_string() }), || {
        // Not escaped, since scripts use it verbatim.
        Ok(session.console.print(path)?)
    })
}
