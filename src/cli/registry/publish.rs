//! `registry publish`: write a registry that any static server serves as it is.

use std::fs;
use std::path::{Path, PathBuf};

use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};
use serde_json::Value;

use crate::cli::args::{self, text};
use crate::cli::ending::CliResult;
use crate::cli::session::Session;
use crate::cli::{Mount, render};
use crate::error::IoContext;
use crate::project::{Project, PublishOptions, PublishRegisteredOptions, PublishReport, publish};
use crate::transport::Url;
use crate::{Config, Error, ErrorKind, Metadata, ModelRef, Result};

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
        .about("Write models into a registry that any static server or bucket serves as it is")
        .arg(super::complete_or_path(
            Arg::new(PATHS)
                .value_name("MODEL|PATH")
                .num_args(1..)
                .value_parser(value_parser!(PathBuf))
                .help("Registered models by id [default: all of the project]; or files, and folders whose content lies at the model's top"),
        ))
        .arg(
            args::option(TO, "to", "DIR", "The registry's folder; a new one is made, an existing one is added to")
                .required(true)
                .value_parser(value_parser!(PathBuf)),
        )
        .arg(args::option(GROUP, "group", "GROUP", "The group, of registered models where the id has none").default_value("models"))
        .arg(args::option(NAME, "model", "MODEL", "Of paths: the model's name [default: the first path's name]"))
        .arg(args::option(args::VERSION, "version", "VERSION", "Of paths: the version; one that is there is replaced [default: 1.0.0]"))
        .arg(
            args::option(CHUNK_SIZE, "chunk-size", "SIZE", "Bytes in a chunk, as in 8MiB or 500KB")
                .default_value("8MiB")
                .value_parser(parse_size),
        )
        .arg(
            args::option(ALIAS, "alias", "VERSION", "Another name for the version, as in latest; may be repeated")
                .action(ArgAction::Append),
        )
        .arg(
            args::option(METADATA, "metadata", "KEY=VALUE", "Of paths: what the index says of it, as in type=classification or tags='[\"a\"]'; @FILE reads a JSON object; may be repeated")
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
    let mut ids = Vec::new();
    for path in &paths {
        let Some(id) = path.to_str() else {
            continue;
        };
        match project.registry().kind_of(id) {
            Ok(_) => ids.push(id.to_owned()),
            // What is not a usable path either is an id that was mistyped.
            Err(error) if !path.exists() && is_bare(path) => return Err(error.into()),
            Err(_) => {}
        }
    }
    if ids.len() == paths.len() {
        return publish_registered(session, matches, &project, ids, &to);
    }
    if let Some(id) = ids.first() {
        return Err(Error::argument(format!(
            "'{}' is a registered model, and not all of the others are: name models or paths",
            id.escape_debug()
        ))
        .into());
    }
    publish_paths(session, matches, &paths, &to)
}

/// Whether a path is a name without a folder or an extension.
fn is_bare(path: &Path) -> bool {
    path.components().count() == 1 && path.extension().is_none()
}

/// Publishes models of the project.
fn publish_registered(
    session: &mut Session,
    matches: &ArgMatches,
    project: &Project,
    ids: Vec<String>,
    to: &Path,
) -> CliResult {
    for (id, flag) in [
        (NAME, "--model"),
        (args::VERSION, "--version"),
        (METADATA, "--metadata"),
    ] {
        if matches.get_raw(id).is_some() {
            let message = format!("{flag} is for paths: what is registered says it itself");
            return Err(Error::argument(message).into());
        }
    }
    let mut options = PublishRegisteredOptions::default()
        .ids(ids)
        .group(text(matches, GROUP).unwrap_or_default())
        .aliases(super::many(matches, ALIAS))
        .cancel(session.cancel.clone());
    if let Some(bytes) = matches.get_one::<u64>(CHUNK_SIZE) {
        options = options.chunk_bytes(*bytes);
    }
    super::tell_empty(session, project);
    let reports = project.publish(to, &options)?;
    if session.output.json {
        return session.json_list("models", &reports);
    }
    reports
        .iter()
        .try_for_each(|report| print(session, report))?;
    let url = std::path::absolute(to)
        .ok()
        .and_then(|to| Url::from_path(&to).ok());
    if let Some(url) = url {
        let variable = Config::new(&session.app).variable("REGISTRY_URL");
        session.say(render::safe(&format!(
            "Any static server serves it as it is; {variable}={url} pulls from it here"
        )))?;
    }
    Ok(())
}

fn publish_paths(
    session: &mut Session,
    matches: &ArgMatches,
    paths: &[PathBuf],
    to: &Path,
) -> CliResult {
    let model = model_ref(matches, paths)?;
    let mut options = PublishOptions::default()
        .metadata(metadata(super::many(matches, METADATA).into_iter())?)
        .skip(format!(".{}", session.app));
    if let Some(bytes) = matches.get_one::<u64>(CHUNK_SIZE) {
        options = options.chunk_bytes(*bytes);
    }
    options.aliases = super::many(matches, ALIAS);
    let report = publish(paths, to, &model, &options)
        .map_err(|error| error.step(format!("publish {model}")))?;
    if session.output.json {
        return session.json(&report);
    }
    print(session, &report)
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
            "the version had another state before, {before}: who has it is offered an update"
        ));
    }
    Ok(())
}

fn model_ref(matches: &ArgMatches, paths: &[PathBuf]) -> Result<ModelRef> {
    let name = match text(matches, NAME) {
        Some(name) => name.to_owned(),
        None => default_name(paths)?,
    };
    let (group, version) = (
        text(matches, GROUP).unwrap_or_default(),
        text(matches, args::VERSION).unwrap_or("1.0.0"),
    );
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

fn metadata(given: impl Iterator<Item = String>) -> Result<Metadata> {
    let mut metadata = Metadata::new();
    for text in given {
        if let Some(file) = text.strip_prefix('@') {
            let path = Path::new(file);
            let read = fs::read(path).at("read", path)?;
            let more: Metadata = serde_json::from_slice(&read).map_err(|error| {
                Error::argument(format!("{file} holds no JSON object: {error}"))
            })?;
            metadata.extend(more);
            continue;
        }
        let (key, value) = text
            .split_once('=')
            .filter(|(key, _)| !key.is_empty())
            .ok_or_else(|| {
                Error::argument(format!(
                    "the metadata '{}' is not of the form key=value",
                    text.escape_debug()
                ))
            })?;
        // What reads as a list or an object is one; a plain word, and a number too, is text.
        let parsed = serde_json::from_str::<Value>(value)
            .ok()
            .filter(|value| value.is_array() || value.is_object());
        metadata.insert(key.to_owned(), parsed.unwrap_or_else(|| value.into()));
    }
    Ok(metadata)
}

/// Reads `8MiB`, `500KB`, `4096`: decimal units without an i, binary units with one.
pub(super) fn parse_size(text: &str) -> Result<u64, String> {
    let digits = text.trim().len()
        - text
            .trim()
            .trim_start_matches(|c: char| c.is_ascii_digit())
            .len();
    let (number, unit) = text.trim().split_at(digits);
    let factor: u64 = match unit.trim().to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "k" | "kb" => 1000,
        "m" | "mb" => 1_000_000,
        "g" | "gb" => 1_000_000_000,
        "ki" | "kib" => 1 << 10,
        "mi" | "mib" => 1 << 20,
        "gi" | "gib" => 1 << 30,
        _ => return Err("expected a number of bytes, as in 8MiB or 500KB".into()),
    };
    let number: u64 = number
        .parse()
        .map_err(|_| "expected a number of bytes, as in 8MiB or 500KB".to_owned())?;
    number.checked_mul(factor).ok_or_else(|| "too large".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_units() {
        for (text, expected) in [
            ("8MiB", Some(8 << 20)),
            ("500KB", Some(500_000)),
            ("4096", Some(4096)),
            ("1 GiB", Some(1 << 30)),
            ("x", None),
            ("8Q", None),
            ("", None),
            ("99999999999GiB", None),
        ] {
            assert_eq!(parse_size(text).ok(), expected, "{text}");
        }
    }

    #[test]
    fn metadata_is_text_unless_it_is_a_list_or_an_object() {
        let given = [
            "type=classification",
            "tags=[\"a\"]",
            "accuracy=0.97",
            "note=a=b",
        ]
        .map(str::to_owned);
        let metadata = metadata(given.into_iter()).unwrap();
        assert_eq!(
            serde_json::to_string(&metadata).unwrap(),
            r#"{"accuracy":"0.97","note":"a=b","tags":["a"],"type":"classification"}"#
        );
        assert!(super::metadata(["novalue".to_owned()].into_iter()).is_err());
    }
}
