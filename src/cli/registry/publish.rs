//! `registry publish`: publish models in a registry that any static server can serve.

use std::fs;
use std::path::{Path, PathBuf};

use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};

use super::values;
use crate::cli::args::{self, text};
use crate::cli::ending::CliResult;
use crate::cli::session::Session;
use crate::cli::{Mount, render};
use crate::error::IoContext;
use crate::project::{Project, PublishOptions, PublishReport};
use crate::transport::Url;
use crate::{Config, Error, ErrorKind, ModelRef, Result};

const PATHS: &str = "modelrack_paths";
const TO: &str = "modelrack_to";
const GROUP: &str = "modelrack_group";
const NAME: &str = "modelrack_name";
const CHUNK_SIZE: &str = "modelrack_chunk_size";
const ALIAS: &str = "modelrack_alias";
const METADATA: &str = "modelrack_metadata";

pub(super) fn command(command: Command, mount: &Mount) -> Command {
    command
        // A parent may pass its own `--version` on, which would be a second one here.
        .disable_version_flag(true)
        .about("Publish models in a registry that any static server or bucket can serve")
        .arg(super::complete_or_path(
            Arg::new(PATHS)
                .value_name("MODEL|PATH")
                .num_args(1..)
                .value_parser(value_parser!(PathBuf))
                .help("Registered models by id [default: all]; or files, and folders whose content is put at the model's top"),
        ))
        .arg(
            args::option(TO, "to", "DIR", "The registry's folder; created if it does not exist")
                .required(true)
                .value_parser(value_parser!(PathBuf)),
        )
        .arg(args::option(GROUP, "group", "GROUP", "The group; for registered models, if the id has none").default_value("models"))
        .arg(args::option(NAME, "model", "MODEL", "For paths: the model's name [default: the name of the first path]"))
        .arg(args::option(args::VERSION, "version", "VERSION", "For paths: the version; an existing one is replaced [default: 1.0.0]"))
        .arg(
            args::option(CHUNK_SIZE, "chunk-size", "SIZE", "The size of a chunk, such as 8MiB or 500KB")
                .default_value("8MiB")
                .value_parser(values::size),
        )
        .arg(
            args::option(ALIAS, "alias", "VERSION", "Another name for the version, such as latest; may be repeated")
                .action(ArgAction::Append),
        )
        .arg(
            args::option(METADATA, "metadata", "KEY=VALUE", "For paths: what the index says about it, such as type=classification or tags='[\"a\"]'; @FILE reads a JSON object; may be repeated")
                .action(ArgAction::Append),
        )
        .arg(super::project_arg())
        .after_help(args::examples(
            mount,
            &[
                ("registry publish --to ./public", "all registered models"),
                ("registry publish sir tiny --to ./public", "some of them"),
                ("registry publish ./tiny --to ./public --group whisper --version v1", "a folder"),
                ("registry publish a.bin b.json --to ./public --model m --alias latest", "some files"),
            ],
        ))
}

pub(super) fn execute(session: &mut Session, matches: &ArgMatches) -> CliResult {
    let paths = super::paths(matches, PATHS);
    let to = matches.get_one::<PathBuf>(TO).cloned().unwrap_or_default();
    let project = super::open(session, matches)?;
    let mut options = PublishOptions::default()
        .aliases(super::many(matches, ALIAS))
        .group(text(matches, GROUP).unwrap_or_default())
        .cancel(session.cancel.clone());
    if let Some(bytes) = matches.get_one::<u64>(CHUNK_SIZE) {
        options = options.chunk_bytes(*bytes);
    }
    let Some(ids) = registered(&project, &paths)? else {
        let options = options
            .metadata(values::metadata(&super::many(matches, METADATA))?)
            .skip(format!(".{}", session.app));
        let model = model_ref(matches, &paths)?;
        let report = Project::publish_files(&paths, &model, &to, &options)
            .map_err(|error| error.step(format!("publish {model}")))?;
        return match session.output.json {
            true => session.json(&report),
            false => print(session, &report),
        };
    };
    let of_paths = [
        (NAME, "--model"),
        (args::VERSION, "--version"),
        (METADATA, "--metadata"),
    ];
    let given = of_paths
        .iter()
        .find(|(id, _)| matches.get_raw(id).is_some());
    if let Some((_, flag)) = given {
        let message = format!("{flag} is for paths: registered models have their own");
        return Err(Error::argument(message).into());
    }
    super::tell_empty(session, &project);
    let reports = project.publish(&ids, &to, &options)?;
    if session.output.json {
        return session.json_list("models", &reports);
    }
    reports
        .iter()
        .try_for_each(|report| print(session, report))?;
    let url = std::path::absolute(&to)
        .ok()
        .and_then(|to| Url::from_path(&to).ok());
    if let Some(url) = url {
        let variable = Config::new(&session.app).variable("REGISTRY_URL");
        let line = format!("Any static server can serve it; {variable}={url} pulls from it here");
        session.say(render::safe(&line))?;
    }
    Ok(())
}

/// The ids of registered models, if these are what is named; `None` for paths.
fn registered(project: &Project, paths: &[PathBuf]) -> Result<Option<Vec<String>>> {
    let mut ids = Vec::new();
    for path in paths {
        let kind = path.to_str().map(|id| (id, project.registry().kind_of(id)));
        match kind {
            Some((id, Ok(_))) => ids.push(id.to_owned()),
            // What is not a path either is an id that was mistyped.
            Some((_, Err(error))) if !path.exists() && is_bare(path) => return Err(error),
            _ => {}
        }
    }
    match ids.first() {
        _ if ids.len() == paths.len() => Ok(Some(ids)),
        None => Ok(None),
        Some(id) => Err(Error::argument(format!(
            "'{}' is a registered model, but not all of the others are: name models or paths",
            id.escape_debug()
        ))),
    }
}

/// Whether a path is a name without a folder or an extension.
fn is_bare(path: &Path) -> bool {
    path.components().count() == 1 && path.extension().is_none()
}

fn print(session: &Session, report: &PublishReport) -> CliResult {
    session.say(format!(
        "Published {}: {}, {}, {} ({} new, {})",
        render::safe(&report.model.to_string()),
        render::count(report.files as u64, "file"),
        render::size(report.total_bytes),
        render::count(report.chunks as u64, "chunk"),
        report.chunks_written,
        render::size(report.bytes_written)
    ))?;
    for alias in &report.aliases {
        session.say(format!("{} is another name for it", render::safe(alias)))?;
    }
    if let Some(before) = report.replaced {
        session.note(format!(
            "the version had other content before ({before}): those who have it are offered an update"
        ));
    }
    Ok(())
}

fn model_ref(matches: &ArgMatches, paths: &[PathBuf]) -> Result<ModelRef> {
    let name = match text(matches, NAME) {
        Some(name) => name.to_owned(),
        None => default_name(paths)?,
    };
    let group = text(matches, GROUP).unwrap_or_default();
    let version = text(matches, args::VERSION).unwrap_or("1.0.0");
    ModelRef::new(group, &name, version).map_err(|error| {
        Error::from(ErrorKind::InvalidRef {
            input: format!("{group}/{name} {version}"),
            message: error.reason().to_owned(),
            choices: Vec::new(),
        })
    })
}

/// A folder's name, or a file's without its extension.
fn default_name(paths: &[PathBuf]) -> Result<String> {
    let first = paths.first().map_or(Path::new(""), PathBuf::as_path);
    let path = fs::canonicalize(first).at("read", first)?;
    let name = if path.is_dir() {
        path.file_name()
    } else {
        path.file_stem()
    };
    name.map(|name| name.to_string_lossy().into_owned())
        .ok_or_else(|| Error::argument(format!("{} has no name: pass --model", first.display())))
}
