//! `tag`: change what is recorded of an installed model, or record one that was made by hand.

use std::path::PathBuf;

use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};

use super::args::{self, Which, all, list, option, string, value};
use super::failure::{CliError, CliResult};
use super::session::Session;
use super::{Mount, metadata, render};
use crate::installed::{Annotation, InstallOptions, InstalledModel};
use crate::{Error, ErrorKind, Metadata, ModelAddress, Result};

const UNTAG: &str = "modelrack_untag";
const SET: &str = "modelrack_set";
const UNSET: &str = "modelrack_unset";
const FROM: &str = "modelrack_from";

pub(super) const EXAMPLES: &str = "
    tag fast-whisper/tiny --type audio-to-text --tag reviewed  set the type, add a tag
    tag fast-whisper/tiny --untag draft --set reviewer=Ada     remove a tag, set a key
    tag mine/tiny v1 --from ./weights                          install a model of your own
";

pub(super) fn command(command: Command, mount: &Mount) -> Command {
    let keys = |option: Arg| option.action(ArgAction::Append);
    command
        .about("Change what is recorded of an installed model, or install one made by hand")
        .long_about(
            "Change what is recorded of an installed model, or install one made by hand\n\n\
             A model that is not installed is installed from the files that --from names, or from \
             those that somebody put into its folder in the store. They are hashed, and never replace \
             what is there.",
        )
        .args(args::model(mount, Which::Installed, true))
        .args([
            option(args::TYPE, "TYPE")
                .help("Set the type, such as text-generation; an empty one removes it"),
            list(args::TAG, "TAG").help("Add a tag; may be repeated or separated by commas"),
            list(UNTAG, "TAG").help("Remove a tag; may be repeated or separated by commas"),
            keys(option(SET, "KEY=VALUE"))
                .help("Set a key of the metadata; may be repeated; @FILE reads a JSON object"),
            keys(option(UNSET, "KEY")).help("Remove a key of the metadata; may be repeated"),
            option(FROM, "PATH")
                .value_parser(value_parser!(PathBuf))
                .help("Install the model from this file or folder; it is cloned or copied"),
        ])
}

pub(super) fn execute(session: &Session, matches: &ArgMatches) -> CliResult {
    let address = args::address(matches)?;
    let mut options = InstallOptions::default()
        .annotation(annotation(matches)?)
        .cancel(session.cancel.clone());
    options.from = value(matches, FROM).cloned();
    if options.from.is_some() {
        return install(session, &address, options);
    }
    let absent = match session.manager.annotate(&address, &options.annotation) {
        Ok(model) => return session.show(&model, || session.say(describe(&model))),
        Err(error) if matches!(error.kind(), ErrorKind::NotInstalled { .. }) => error,
        Err(error) => return Err(error.into()),
    };
    match install(session, &address, options) {
        Err(CliError::Library(error))
            if matches!(
                error.kind(),
                ErrorKind::FolderMissing { .. } | ErrorKind::InvalidRef { .. }
            ) =>
        {
            Err(absent.into())
        }
        result => result,
    }
}

fn install(session: &Session, address: &ModelAddress, options: InstallOptions) -> CliResult {
    let work = format!("Hashing {address}");
    let report = session.metered_as(&work, |meter| {
        session.manager.install(address, &options.progress(meter))
    })?;
    session.note_left_out(&report.left_out);
    let model = &report.installed;
    session.show(&report, || {
        session.say(format!(
            "Installed {}: {}, {}",
            model.model,
            render::count(model.files, "file"),
            render::size(model.total_bytes)
        ))?;
        session.say(model.path.display())
    })
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
