//! Publishing files and folders that are not registered.

use std::fs;
use std::path::{Path, PathBuf};

use clap::ArgMatches;

use super::{GROUP, METADATA};
use crate::cli::args::{self, all, text};
use crate::cli::metadata;
use crate::cli::registry::READING;
use crate::cli::session::Session;
use crate::error::IoContext;
use crate::project::{Project, PublishOptions, PublishReport, PublishTarget};
use crate::{Error, ModelRef, Result};

pub(super) fn publish(
    session: &Session,
    matches: &ArgMatches,
    paths: &[PathBuf],
    to: &PublishTarget,
    options: PublishOptions,
) -> Result<PublishReport> {
    let options = options
        .metadata(metadata::parse(&all(matches, METADATA))?)
        .skip(format!(".{}", session.mount.config.app()));
    let model = model_ref(matches, paths, to)?;
    let published = session.metered_as(READING, |meter| {
        Project::publish_files(paths, &model, to.clone(), &options.progress(meter))
    });
    published.map_err(|error| error.step(format!("publish {model}")))
}

fn model_ref(matches: &ArgMatches, paths: &[PathBuf], to: &PublishTarget) -> Result<ModelRef> {
    let name = match text(matches, args::MODEL) {
        Some(name) => name.to_owned(),
        None => default_name(paths)?,
    };
    let group = text(matches, GROUP).unwrap_or_default();
    let version = match (text(matches, args::VERSION), to.tag()) {
        (Some(version), Some(tag)) if version != tag => {
            let message = format!("the version is '{version}', and the tag in --to is '{tag}'");
            return Err(Error::argument(message));
        }
        (version, tag) => version.or(tag).unwrap_or("1.0.0"),
    };
    ModelRef::new(group, &name, version)
        .map_err(|error| Error::invalid_ref(format!("{group}/{name} {version}"), error.reason()))
}

/// Returns a folder's name, or a file's without its extension.
fn default_name(paths: &[PathBuf]) -> Result<String> {
    let first = paths.first().map_or(Path::new(""), PathBuf::as_path);
    let path = fs::canonicalize(first).at("read", first)?;
    let name = match path.is_dir() {
        true => path.file_name(),
        false => path.file_stem(),
    };
    let nameless = || Error::argument(format!("{} has no name: pass --model", first.display()));
    Ok(name.ok_or_else(nameless)?.to_string_lossy().into_owned())
}
