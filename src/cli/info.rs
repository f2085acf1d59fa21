//! `info`: show the details of a model, or the sources.

use clap::{ArgMatches, Command};

use super::args::{self, Which, flag, is_set};
use super::ending::CliResult;
use super::render::{self, or_dash};
use super::session::Session;
use super::table::Table;
use super::{Mount, sources};
use crate::installed::InstalledDetail;
use crate::manifest::ManifestFile;
use crate::remote::{LocalState, RemoteDetail};
use crate::{Metadata, RemoteOptions};

pub(super) const EXAMPLES: &str = "
    info                                  the sources
    info fast-whisper/tiny fp16           an installed model
    info fast-whisper/tiny fp16 --remote  a model that can be pulled
";

pub(super) fn command(command: Command, mount: &Mount) -> Command {
    let remote = flag(args::REMOTE).help("Show the model as its source offers it");
    command
        .about("Show the details of a model; without one, the sources and their state")
        .args(args::model(mount, Which::Installed, false))
        .arg(remote.requires(args::MODEL))
}

pub(super) fn execute(session: &Session, matches: &ArgMatches) -> CliResult {
    let Some(address) = args::optional_address(matches)? else {
        return sources::print(session);
    };
    if is_set(matches, args::REMOTE) {
        let options = RemoteOptions::default()
            .offline(session.output.offline)
            .cancel(session.cancel.clone());
        let detail = session.manager.remote_detail(&address, &options)?;
        session.show(&detail, || print_remote(session, &detail))
    } else {
        let detail = session.manager.get(&address)?;
        session.show(&detail, || print_installed(session, &detail))
    }
}

fn print_installed(session: &Session, detail: &InstalledDetail) -> CliResult {
    let model = &detail.installed;
    let mut fields = vec![
        ("model", model.model.name().to_string()),
        ("version", model.model.version().to_owned()),
        ("path", model.path.display().to_string()),
        ("size", render::size(model.total_bytes)),
        ("installed", render::utc(model.installed_at)),
        ("source", or_dash(model.source.as_deref())),
        ("manifest", model.manifest_digest.to_string()),
    ];
    fields.extend(model.commit.clone().map(|commit| ("commit", commit)));
    for (key, globs) in [("include", &model.include), ("exclude", &model.exclude)] {
        fields.extend((!globs.is_empty()).then(|| (key, globs.join(" "))));
    }
    print_fields(session, fields, &model.metadata, detail.files())
}

fn print_remote(session: &Session, detail: &RemoteDetail) -> CliResult {
    let remote = &detail.remote;
    let installed = match remote.local {
        LocalState::Absent => "no",
        _ => "yes",
    };
    let size = remote.total_bytes.map(render::size);
    let chunks = match detail.chunk_bytes {
        Some(bytes) => format!("{} of {}", detail.parts, render::size(bytes)),
        None => detail.parts.to_string(),
    };
    let mut fields = vec![
        ("model", remote.model.name().to_string()),
        ("version", remote.model.version().to_owned()),
        ("installed", installed.to_owned()),
        ("size", size.unwrap_or_else(|| "unknown".into())),
        ("chunks", chunks),
        ("manifest", remote.manifest_digest.to_string()),
    ];
    fields.extend(remote.alias_of.clone().map(|target| ("alias of", target)));
    fields.extend(remote.commit.clone().map(|commit| ("commit", commit)));
    let metadata = remote.metadata.to_map();
    print_fields(session, fields, &metadata, &detail.files)
}

/// Prints the fields and metadata of a model, and a table of its files.
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
    let rows = files.iter().map(|file| {
        let learned = if file.is_learned { " (learned)" } else { "" };
        let digest = file.digest.as_ref();
        let digest = digest.map(|digest| format!("{digest}{learned}"));
        [
            file.path.to_string(),
            or_dash(file.size_bytes.map(render::size).as_deref()),
            or_dash(digest.as_deref()),
        ]
    });
    session.console.print("")?;
    Table::new(["FILE", "SIZE", "DIGEST"], rows).print(session)
}
