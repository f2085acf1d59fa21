//! `tag`: change what is recorded of an installed model.

use clap::{Arg, ArgAction, ArgMatches, Command};

use super::args::{self, Which, all, list, option, string};
use super::ending::CliResult;
use super::session::Session;
use super::{Mount, metadata};
use crate::installed::{Annotation, InstalledModel};
use crate::{Error, Metadata, Result};

const UNTAG: &str = "modelrack_untag";
const SET: &str = "modelrack_set";
const UNSET: &str = "modelrack_unset";

pub(super) const EXAMPLES: &str = "
    tag fast-whisper/tiny fp16 --type audio-to-text --tag reviewed  set the type, add a tag
    tag fast-whisper/tiny --untag draft --set reviewed_by=Ada       remove a tag, set a key
";

pub(super) fn command(command: Command, mount: &Mount) -> Command {
    let keys = |option: Arg| option.action(ArgAction::Append);
    command
        .about("Change the type, tags and metadata that are recorded of an installed model")
        .args(args::model(mount, Which::Installed, true))
        .args([
            option(args::TYPE, "TYPE")
                .help("Set the type, such as text-generation; an empty one removes it"),
            list(args::TAG, "TAG").help("Add a tag; may be repeated or separated by commas"),
            list(UNTAG, "TAG").help("Remove a tag; may be repeated or separated by commas"),
            keys(option(SET, "KEY=VALUE"))
                .help("Set a key of the metadata; may be repeated; @FILE reads a JSON object"),
            keys(option(UNSET, "KEY")).help("Remove a key of the metadata; may be repeated"),
        ])
}

pub(super) fn execute(session: &Session, matches: &ArgMatches) -> CliResult {
    let address = args::address(matches)?;
    let model = session.manager.annotate(&address, &annotation(matches)?)?;
    session.show(&model, || session.say(describe(&model)))
}

fn annotation(matches: &ArgMatches) -> Result<Annotation> {
    let mut metadata = metadata::parse(&all(matches, SET))?;
    let unset = all::<String>(matches, UNSET).into_iter();
    metadata.extend(unset.map(|key| (key, serde_json::Value::Null)));
    refuse_own_keys(&metadata)?;
    let mut annotation = Annotation::default()
        .add_tags(all::<String>(matches, args::TAG))
        .remove_tags(all::<String>(matches, UNTAG))
        .metadata(metadata);
    annotation.model_type = string(matches, args::TYPE);
    Ok(annotation)
}

/// Refuses keys that have options of their own.
fn refuse_own_keys(metadata: &Metadata) -> Result<()> {
    for (key, options) in [("type", "--type"), ("tags", "--tag and --untag")] {
        if metadata.contains_key(key) {
            return Err(Error::argument(format!(
                "'{key}' is changed with {options}"
            )));
        }
    }
    Ok(())
}

/// Describes what is recorded now.
fn describe(model: &InstalledModel) -> String {
    let model_type = model.model_type.as_deref().unwrap_or("no type");
    let tags = match model.tags.as_slice() {
        [] => "no tags".to_owned(),
        tags => tags.join(", "),
    };
    format!("{}: {model_type}; {tags}", model.model)
}
