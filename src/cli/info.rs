//! `info`: show the details of a model, or the sources.

use std::collections::BTreeSet;

use clap::{ArgMatches, Command};
use serde_json::Value;

use super::args::{self, Which, flag, is_set, text};
use super::failure::CliResult;
use super::list::{self, downloaded};
use super::offers::{Detail, Offers, print_offers};
use super::render::{self, or_dash};
use super::session::Session;
use super::several::is_known;
use super::table::Table;
use super::{Mount, sources, unfinished};
use crate::installed::{InstalledDetail, PartialModel};
use crate::manifest::{Checksum, ManifestFile};
use crate::remote::{LocalState, RemoteDetail, SourceInfo};
use crate::{Error, ErrorKind, ListOptions, Metadata, ModelAddress, RemoteOptions};

pub(super) const EXAMPLES: &str = "
    info                                  the sources
    info mf6/test                         one of them
    info fast-whisper/tiny fp16           an installed model
    info fast-whisper/tiny --remote       the versions that are offered
    info fast-whisper/tiny fp16 --remote  one of them
";

pub(super) fn command(command: Command, mount: &Mount) -> Command {
    let [model, version] = args::model(mount, Which::InstalledOrSources, false);
    let remote = flag(args::REMOTE).help("Show the model as its source offers it");
    command
        .about("Show a model or its versions, a source, or all sources")
        .args([
            model.value_name("MODEL|SOURCE").help(
                "The model: group/model, group/model@version or source@ref/model; or the key or \
                 name of a source",
            ),
            version,
            remote.requires(args::MODEL),
        ])
}

pub(super) fn execute(session: &Session, matches: &ArgMatches) -> CliResult {
    let Some(address) = args::optional_address(matches)? else {
        return sources::print(session, None);
    };
    let word = text(matches, args::MODEL).filter(|_| text(matches, args::VERSION).is_none());
    if let Some(name) = word
        && sources::is_any_called(session, name)?
        // A model may have the name of a source.
        && !is_known(session, &address, Which::Installed, true)
    {
        return sources::print(session, Some(name));
    }
    match is_set(matches, args::REMOTE) {
        true => show_remote(session, &address),
        false => show_installed(session, &address),
    }
}

fn show_remote(session: &Session, address: &ModelAddress) -> CliResult {
    let options = RemoteOptions::default()
        .offline(session.output.offline)
        .cancel(session.cancel.clone());
    let (manager, work) = (&session.manager, format!("Looking up {address}"));
    let detail = session.metered_as(&work, |_| manager.remote_detail(address, &options));
    let error = match detail {
        Ok(detail) => return session.show(&detail, || print_remote(session, &detail)),
        Err(error) => error,
    };
    let versions = versions(&error);
    if versions.is_empty() {
        return Err(error.into());
    }
    let listing = session.metered_as(&work, |_| manager.list_remote(&options));
    let mut listing = match listing {
        Err(error) if error.is_cancelled() => return Err(error.into()),
        listing => listing.unwrap_or_default(),
    };
    let models = &mut listing.models;
    models.retain(|remote| versions.contains(&remote.model.to_string()));
    // Not every source lists its models, and then the choices are known from the error alone.
    if models.is_empty() {
        return Err(error.into());
    }
    let offers = Offers {
        models,
        failures: &[],
        not_shown: None,
    };
    print_offers(session, &offers, Detail::Each)
}

fn show_installed(session: &Session, address: &ModelAddress) -> CliResult {
    let error = match session.manager.get(address) {
        Ok(detail) => return session.show(&detail, || print_installed(session, &detail)),
        Err(error) => error,
    };
    if matches!(error.kind(), ErrorKind::NotInstalled { .. }) && !session.output.json {
        // The error then says what to do.
        let pulls = unfinished::find(session, address)?;
        let mut pulls = pulls.iter();
        pulls.try_for_each(|pull| print_unfinished(session, pull))?;
    }
    let versions = versions(&error);
    if versions.is_empty() {
        return Err(error.into());
    }
    let mut listing = session.manager.list(&ListOptions::default())?;
    let models = &mut listing.models;
    models.retain(|installed| versions.contains(&installed.model.to_string()));
    let is_same = |of: &PartialModel| models.iter().any(|it| it.model.name() == of.model.name());
    listing.partials.retain(is_same);
    session.show(&listing, || list::print_installed(session, &listing, true))
}

/// Returns the versions among which an address does not choose; none for any other error.
fn versions(error: &Error) -> BTreeSet<String> {
    match error.kind() {
        ErrorKind::InvalidRef { choices, .. } => choices.iter().cloned().collect(),
        _ => BTreeSet::new(),
    }
}

fn print_installed(session: &Session, detail: &InstalledDetail) -> CliResult {
    let model = &detail.installed;
    let installed = match session.console.out_is_terminal {
        true => format!(
            "{} ({})",
            session.when(model.installed_at),
            render::utc(model.installed_at)
        ),
        false => render::utc(model.installed_at),
    };
    let source = match model.made_by_hand {
        true => "none, made by hand".to_owned(),
        false => label(session, model.source.as_deref()),
    };
    let mut fields = vec![
        ("model", model.model.name().to_string()),
        ("version", model.model.version().to_owned()),
        ("path", model.path.display().to_string()),
        (
            "size",
            size_and_files(Some(model.total_bytes), Some(model.files)),
        ),
        ("installed", installed),
        ("source", source),
        ("manifest", model.manifest_digest.to_string()),
    ];
    fields.extend(model.commit.clone().map(|commit| ("commit", commit)));
    for (key, globs) in [("include", &model.include), ("exclude", &model.exclude)] {
        fields.extend((!globs.is_empty()).then(|| (key, globs.join(" "))));
    }
    let metadata = model.metadata.to_map();
    print_fields(session, fields, &metadata, detail.files())
}

/// Prints how far a pull is, and why it stopped.
fn print_unfinished(session: &Session, pull: &PartialModel) -> CliResult {
    let mut fields = vec![
        ("model", pull.model.name().to_string()),
        ("version", pull.model.version().to_owned()),
        ("status", pull.status.as_str().to_owned()),
        ("downloaded", downloaded(pull)),
        ("since", session.when(pull.touched_at)),
        ("source", label(session, pull.source.as_deref())),
    ];
    fields.extend(pull.last_error.clone().map(|error| ("error", error)));
    session.print_fields(&fields)
}

fn print_remote(session: &Session, detail: &RemoteDetail) -> CliResult {
    let remote = &detail.remote;
    let installed = match remote.local {
        LocalState::Absent => "no",
        LocalState::Outdated => "in another state",
        _ => "yes",
    };
    let mut fields = vec![
        ("model", remote.model.name().to_string()),
        ("version", remote.model.version().to_owned()),
        ("installed", installed.to_owned()),
        ("size", size_and_files(remote.total_bytes, remote.files)),
        ("source", label(session, Some(&remote.source))),
        ("manifest", remote.manifest_digest.to_string()),
    ];
    let chunks = detail.chunk_bytes.map(render::size);
    let chunks = chunks.map(|size| format!("{} of {size}", detail.parts));
    fields.extend(chunks.map(|chunks| ("chunks", chunks)));
    for (name, text) in [("alias of", &remote.alias_of), ("commit", &remote.commit)] {
        fields.extend(text.as_ref().map(|text| (name, text.to_string())));
    }
    let metadata = remote.metadata.to_map();
    print_fields(session, fields, &metadata, &detail.files)
}

fn size_and_files(bytes: Option<u64>, files: Option<u64>) -> String {
    let size = bytes.map_or_else(|| "unknown".to_owned(), render::size);
    match files {
        Some(files) => format!("{size} in {}", render::count(files, "file")),
        None => size,
    }
}

/// Returns how people call the source with a key: by its name, or else its location.
fn label(session: &Session, key: Option<&str>) -> String {
    // A configuration that cannot be read is no reason to say nothing.
    let sources = session.manager.sources().unwrap_or_default();
    let source = sources.iter().find(|source| Some(&*source.key) == key);
    or_dash(source.map(SourceInfo::label).as_deref().or(key))
}

/// Prints the fields and metadata of a model, and a table of its files. A terminal gets no metadata that say nothing.
fn print_fields<'a>(
    session: &Session,
    mut fields: Vec<(&'a str, String)>,
    metadata: &'a Metadata,
    files: &[ManifestFile],
) -> CliResult {
    let facts = metadata.iter().map(|(key, value)| (&**key, text_of(value)));
    let is_shown = |(_, value): &(_, String)| {
        let says_nothing = matches!(&**value, "" | "0" | "false" | "null");
        !(says_nothing && session.console.out_is_terminal)
    };
    fields.extend(facts.filter(is_shown));
    session.print_fields(&fields)?;
    if session.output.quiet {
        return Ok(());
    }
    let rows = files.iter().map(|file| {
        let learned = if file.is_learned { " (learned)" } else { "" };
        let digest = file.digest.as_ref().map(|digest| match digest {
            Checksum::Sha256(_) => format!("sha256:{digest}{learned}"),
            Checksum::GitBlob(_) => format!("git:{digest}{learned}"),
        });
        [
            file.path.to_string(),
            or_dash(file.size_bytes.map(render::size).as_deref()),
            or_dash(digest.as_deref()),
        ]
    });
    session.console.print("")?;
    Table::new(["FILE", "SIZE", "DIGEST"], rows)
        .named_by(1)
        .cut()
        .print(session)
}

/// Shows a value of the metadata; lists of texts without their quotes.
fn text_of(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(items) if items.iter().all(Value::is_string) => {
            let items: Vec<&str> = items.iter().filter_map(Value::as_str).collect();
            items.join(", ")
        }
        other => other.to_string(),
    }
}
