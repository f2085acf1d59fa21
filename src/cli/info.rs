//! `info`: show the details of a model, or the sources.

use clap::{ArgMatches, Command};

use super::args::{self, Which, is_set};
use super::ending::CliResult;
use super::render::{self, or_dash};
use super::session::Session;
use super::{Mount, sources};
use crate::manifest::{Checksum, ManifestFile};
use crate::remote::LocalState;
use crate::{Metadata, ModelAddress, RemoteOptions};

pub(super) fn command(command: Command, mount: &Mount) -> Command {
    command
        .about("Show the details of a model; without one, the sources and their state")
        .args(args::model(mount, Which::Installed, false))
        .arg(args::remote("Show the model as its source offers it").requires(args::MODEL))
        .after_help(args::examples(
            mount,
            &[
                ("info", "the sources"),
                ("info fast-whisper/tiny fp16", "an installed model"),
                (
                    "info fast-whisper/tiny fp16 --remote",
                    "a model that can be pulled",
                ),
            ],
        ))
}

pub(super) fn execute(session: &mut Session, matches: &ArgMatches) -> CliResult {
    match args::optional_address(matches)? {
        None => sources::print(session),
        Some(address) if is_set(matches, args::REMOTE) => print_remote(session, &address),
        Some(address) => print_installed(session, &address),
    }
}

fn print_installed(session: &Session, address: &ModelAddress) -> CliResult {
    let detail = session.manager.get(address)?;
    if session.output.json {
        return session.json(&detail);
    }
    let model = &detail.installed;
    let mut fields = vec![
        ("model", model.model.name().to_string()),
        ("version", model.model.version().to_owned()),
        ("path", model.path.display().to_string()),
        ("size", render::size(model.total_bytes)),
        (
            "installed",
            format!("{} UTC", render::time(model.installed_at)),
        ),
        ("source", or_dash(model.source.as_deref())),
        ("manifest", model.manifest_digest.to_string()),
    ];
    fields.extend(model.commit.clone().map(|commit| ("commit", commit)));
    print_fields(session, fields, &model.metadata, detail.files())
}

fn print_remote(session: &Session, address: &ModelAddress) -> CliResult {
    let options = RemoteOptions::default()
        .offline(session.output.offline)
        .cancel(session.cancel.clone());
    let detail = session.manager.remote_detail(address, &options)?;
    if session.output.json {
        return session.json(&detail);
    }
    let remote = &detail.remote;
    let installed = match remote.local {
        LocalState::Absent => "no",
        _ => "yes",
    };
    let size = remote
        .total_bytes
        .map_or_else(|| "unknown".into(), render::size);
    let mut fields = vec![
        ("model", remote.model.name().to_string()),
        ("version", remote.model.version().to_owned()),
        ("installed", installed.to_owned()),
        ("size", size),
        ("chunks", detail.parts.to_string()),
        ("manifest", remote.manifest_digest.to_string()),
    ];
    fields.extend(remote.alias_of.clone().map(|target| ("alias of", target)));
    fields.extend(remote.commit.clone().map(|commit| ("commit", commit)));
    let metadata = remote.metadata.to_map();
    print_fields(session, fields, &metadata, &detail.files)
}

/// Prints what is known of a model, and a table of its files.
fn print_fields<'a>(
    session: &Session,
    mut fields: Vec<(&'a str, String)>,
    metadata: &'a Metadata,
    files: &[ManifestFile],
) -> CliResult {
    for (key, value) in metadata {
        let text = value.as_str().map(str::to_owned);
        fields.push((key, text.unwrap_or_else(|| value.to_string())));
    }
    session.console.print(render::fields(&fields))?;
    if session.output.quiet {
        return Ok(());
    }
    let row = |file: &ManifestFile| {
        let digest = file.digest.as_ref().map(Checksum::to_string);
        vec![
            file.path.to_string(),
            or_dash(file.size_bytes.map(render::size).as_deref()),
            or_dash(digest.as_deref()),
        ]
    };
    let rows: Vec<_> = files.iter().map(row).collect();
    session.console.print("")?;
    session.table(&["FILE", "SIZE", "DIGEST"], &rows)
}
