//! `info`: a model in detail, or the sources and their state.

use clap::{ArgMatches, Command};

use super::args::{self, Which, is_set};
use super::ending::CliResult;
use super::session::Session;
use super::{Mount, json, render};
use crate::{Digest, ManifestFile, Metadata, ModelAddress, RemoteOptions};

pub(super) fn command(mount: &Mount) -> Command {
    Command::new("info")
        .about("Show a model in detail; without one, the sources and their state")
        .args(args::model(mount, Which::Installed, false))
        .arg(args::remote("Show what the source offers, without fetching it").requires(args::MODEL))
        .after_help(args::examples(
            mount,
            &[
                ("info", "the sources"),
                ("info fast-whisper/tiny fp16", "an installed model"),
                ("info fast-whisper/tiny fp16 --remote", "one to pull"),
            ],
        ))
}

pub(super) fn execute(session: &mut Session, matches: &ArgMatches) -> CliResult {
    match args::optional_address(matches)? {
        None => print_sources(session),
        Some(address) if is_set(matches, args::REMOTE) => print_remote(session, &address),
        Some(address) => print_installed(session, &address),
    }
}

fn print_sources(session: &Session) -> CliResult {
    let infos = session.manager.sources()?;
    if session.output.json {
        return session.json(&json::Sources {
            sources: infos.iter().map(Into::into).collect(),
        });
    }
    if infos.is_empty() {
        session.note("No source is configured.");
        return Ok(());
    }
    let rows: Vec<Vec<String>> = infos
        .iter()
        .map(|info| {
            let or_dash = |text: &str| {
                if text.is_empty() {
                    "-".to_owned()
                } else {
                    text.to_owned()
                }
            };
            vec![
                or_dash(&info.config.key),
                or_dash(&info.config.name),
                info.config.kind().to_string(),
                info.config.locations().join(" "),
                info.versions
                    .map_or_else(|| "-".into(), |versions| versions.to_string()),
                info.fetched_at
                    .map_or_else(|| "not cached".into(), render::time),
            ]
        })
        .collect();
    let head = ["SOURCE", "NAME", "KIND", "LOCATION", "VERSIONS", "CACHED"];
    session
        .console
        .print(render::table(&session.console, &head, &rows))?;
    Ok(())
}

fn print_installed(session: &Session, address: &ModelAddress) -> CliResult {
    let detail = session.manager.get(address)?;
    if session.output.json {
        return session.json(&json::InstalledInfo::from(&detail));
    }
    let model = &detail.installed;
    let mut fields = vec![
        ("model", model.model.name().to_string()),
        ("version", model.model.version().to_owned()),
        ("path", Session::show_path(&model.path)),
        ("size", render::size(model.total_bytes)),
        (
            "installed",
            format!("{} UTC", render::time(model.installed_at)),
        ),
        (
            "source",
            model
                .source
                .clone()
                .filter(|source| !source.is_empty())
                .unwrap_or_else(|| "-".into()),
        ),
        ("manifest", model.manifest_digest.to_string()),
    ];
    add_metadata(&mut fields, &model.metadata);
    print_fields(session, &fields, detail.files())
}

fn print_remote(session: &Session, address: &ModelAddress) -> CliResult {
    let options = RemoteOptions::default()
        .offline(session.output.offline)
        .cancel(session.cancel.clone());
    let detail = session.manager.remote_detail(address, &options)?;
    let installed = session
        .manager
        .path(&ModelAddress::from(&detail.remote.model))
        .is_ok();
    if session.output.json {
        return session.json(&json::RemoteInfo::new(&detail, installed));
    }
    let remote = &detail.remote;
    let mut fields = vec![
        ("model", remote.model.name().to_string()),
        ("version", remote.model.version().to_owned()),
        ("installed", if installed { "yes" } else { "no" }.to_owned()),
        ("size", render::size(detail.manifest.total_bytes())),
        ("chunks", detail.manifest.parts().len().to_string()),
        ("manifest", remote.manifest_digest.to_string()),
    ];
    if let Some(target) = &remote.alias_of {
        fields.push(("alias of", target.clone()));
    }
    let metadata = remote.metadata.to_map();
    add_metadata(&mut fields, &metadata);
    print_fields(session, &fields, detail.files())
}

fn add_metadata<'a>(fields: &mut Vec<(&'a str, String)>, metadata: &'a Metadata) {
    for (key, value) in metadata {
        let shown = value
            .as_str()
            .map_or_else(|| value.to_string(), str::to_owned);
        fields.push((key.as_str(), shown));
    }
}

fn print_fields(session: &Session, fields: &[(&str, String)], files: &[ManifestFile]) -> CliResult {
    // Keys of metadata are as hostile as values.
    let safe: Vec<(String, String)> = fields
        .iter()
        .map(|(name, value)| (render::safe(name), value.clone()))
        .collect();
    let fields: Vec<(&str, String)> = safe
        .iter()
        .map(|(name, value)| (name.as_str(), value.clone()))
        .collect();
    session.console.print(render::fields(&fields))?;
    if session.output.quiet {
        return Ok(());
    }
    let row = |file: &ManifestFile| {
        let digest = file
            .digest
            .as_ref()
            .map_or_else(|| "-".into(), Digest::to_string);
        vec![file.path.to_string(), render::size(file.size_bytes), digest]
    };
    let rows: Vec<Vec<String>> = files.iter().map(row).collect();
    session.console.print(format!(
        "\n{}",
        render::table(&session.console, &["FILE", "SIZE", "SHA-256"], &rows)
    ))?;
    Ok(())
}
