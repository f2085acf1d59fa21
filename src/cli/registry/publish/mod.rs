//! `registry publish`: publish models in a registry that others pull from.

mod files;

use std::path::{Path, PathBuf};
use std::slice;

use clap::{ArgAction, ArgMatches, Command, value_parser};

use super::project::{self, path_option};
use super::{PATHS, READING, notes};
use crate::cli::args::{self, Which, all, complete, flag, option, positional, text};
use crate::cli::ending::advise;
use crate::cli::failure::{CliError, CliResult};
use crate::cli::hint::shell_quoted;
use crate::cli::session::Session;
use crate::cli::{Mount, chunking, render};
use crate::project::{Project, PublishOptions, PublishReport, PublishSummary, PublishTarget};
use crate::transport::Url;
use crate::{Error, ErrorKind, Result};

const TO: &str = "modelrack_to";
const GROUP: &str = "modelrack_group";
const ALIAS: &str = "modelrack_alias";
const METADATA: &str = "modelrack_metadata";

pub(super) const EXAMPLES: &str = "
    registry publish --to ./public                                      all registered models
    registry publish sir tiny --to ./public                             some of them
    registry publish ./tiny --to ./public --group whisper --version v1  a folder
    registry publish --to ./public --dry-run                            what would be sent
    registry publish a.bin --to ./public --model m --alias latest       a file
    registry publish ./tiny --to s3://models-bucket/prefix              a registry in a bucket
    registry publish ./tiny --to oci://ghcr.io/acme/tiny:v1             an artifact of an OCI registry
    registry publish ./tiny --to oci-layout:./layout:v1                 one in a folder, for other tools
";

pub(super) fn command(command: Command, mount: &Mount) -> Command {
    let paths = positional(PATHS, "MODEL|PATH")
        .num_args(1..)
        .value_parser(value_parser!(PathBuf))
        .help(
            "Registered models by id [default: all]; or files, and folders whose content is put at \
             the model's top",
        );
    command
        // A parent may propagate its own `--version`, which would be a second one here.
        .disable_version_flag(true)
        .about("Publish models in a registry that any static server can serve, or in an OCI registry")
        .args([
            complete(paths, mount, Which::RegisteredOrPaths),
            path_option(TO, "DIR|FILE.tar|URL")
                .help(
                    "The registry's folder, created if it does not exist, or a tar of one; or s3://BUCKET/PREFIX; or \
                     oci://HOST/NAME[:TAG] or oci-layout:DIR|FILE.tar[:TAG], for artifacts",
                )
                .required(true),
            option(GROUP, "GROUP")
                .help("The group; for registered models, if the id has none")
                .default_value("models"),
            option(args::MODEL, "MODEL")
                .help("For paths: the model's name [default: the name of the first path]"),
            option(args::VERSION, "VERSION")
                .help("For paths: the version; an existing one is replaced [default: 1.0.0]"),
        ])
        .args(chunking::flags(
            "The size of a chunk, such as 8MiB or 500KB",
            "Where to cut: content, where the content says, so that what is inserted shifts nothing; or \
             fixed, at equal distances [default: as the model was cut before, else content]",
            "Put the index into parts, so that of very many models a pull fetches kilobytes of \
             it; older readers do not know them",
        ))
        .args([
            flag(args::DRY_RUN).help("Only show what would be sent, and what is there"),
            flag(args::FORCE).help(
                "Publish in a bucket whose store ignores conditions; nobody else may publish there meanwhile",
            ),
            option(ALIAS, "VERSION")
                .help("Another name for the version, such as latest; may be repeated")
                .action(ArgAction::Append),
            option(METADATA, "KEY=VALUE")
                .help(
                    "For paths: what the index says about it, such as type=classification or \
                     tags='[\"a\"]'; @FILE reads a JSON object; may be repeated",
                )
                .action(ArgAction::Append),
        ])
        .args(project::place())
}

pub(super) fn execute(session: &Session, matches: &ArgMatches) -> CliResult {
    let paths: Vec<PathBuf> = all(matches, PATHS);
    let to = PublishTarget::parse(args::path(matches, TO))?;
    let chunks = chunking::read(matches, &to)?;
    let project = project::open(session, matches)?;
    let options = PublishOptions::default()
        .aliases(all::<String>(matches, ALIAS))
        .group(text(matches, GROUP).unwrap_or_default())
        .chunk_bytes(chunks.chunk_bytes)
        .chunking(chunks.chunking)
        .shards(chunks.shards)
        .force(matches.get_flag(args::FORCE))
        .dry_run(matches.get_flag(args::DRY_RUN))
        .config(session.mount.config.clone())
        .environment(session.mount.open_environment())
        .offline(session.output.offline)
        .cancel(session.cancel.clone());
    let is_dry_run = options.dry_run;
    let Some(ids) = registered(&project, &paths)? else {
        let report = files::publish(session, matches, &paths, &to, options)?;
        return session.show(&report, || {
            if is_dry_run {
                return print_plan(session, slice::from_ref(&report));
            }
            print(session, &report)?;
            say_how_to_pull(session, &to)
        });
    };
    let of_paths = [
        (args::MODEL, "--model"),
        (args::VERSION, "--version"),
        (METADATA, "--metadata"),
    ];
    let given = |(id, _): &&(&str, &str)| matches.get_raw(id).is_some();
    if let Some((_, flag)) = of_paths.iter().find(given) {
        let message = format!("{flag} is for paths: registered models have their own");
        return Err(Error::argument(message).into());
    }
    notes::note_empty(session, &project);
    let summary = session.metered_as(READING, |meter| {
        project.publish_each(&ids, to.clone(), &options.progress(meter))
    })?;
    if !summary.failed.is_empty() {
        return partly(session, summary, is_dry_run);
    }
    let reports = summary.models;
    session.show_list("models", &reports, || {
        if is_dry_run {
            return print_plan(session, &reports);
        }
        reports
            .iter()
            .try_for_each(|report| print(session, report))?;
        if reports.len() > 1 {
            session.say(sum(&reports))?;
        }
        say_how_to_pull(session, &to)
    })
}

/// Tells how a chunked registry is used.
fn say_how_to_pull(session: &Session, to: &PublishTarget) -> CliResult {
    if to.is_bucket() {
        return session.say(format!("A source with url = \"{to}\" pulls from it"));
    }
    let place = to.folder().filter(|_| to.is_chunked());
    let place = place.and_then(|to| std::path::absolute(to).ok());
    let Some(url) = place.as_ref().and_then(|to| Url::from_path(to).ok()) else {
        return Ok(());
    };
    let served = match place.is_some_and(|place| place.is_file()) {
        true => "Any static server can serve it when it is unpacked",
        false => "Any static server can serve it",
    };
    let variable = session.mount.config.variable("REGISTRY_URL");
    session.say(format!("{served}; {variable}={url} pulls from it here"))
}

/// Ends with what failed, after what was published.
fn partly(session: &Session, summary: PublishSummary, is_dry_run: bool) -> CliResult {
    advise(session, summary.failed.iter().map(|failed| &failed.error));
    let document = serde_json::to_value(&summary);
    let document = document.map_err(|error| Error::internal(error.to_string()))?;
    match is_dry_run {
        true => print_plan(session, &summary.models)?,
        false => summary
            .models
            .iter()
            .try_for_each(|report| print(session, report))?,
    }
    match summary.into_result() {
        Ok(_) => Ok(()),
        Err(error) => Err(CliError::Partly { error, document }),
    }
}

/// Returns the ids if registered models are named; `None` for paths.
fn registered<'a>(project: &Project, paths: &'a [PathBuf]) -> Result<Option<Vec<&'a str>>> {
    let mut ids = Vec::new();
    for path in paths {
        let kind = path.to_str().map(|id| (id, project.registry().kind_of(id)));
        match kind {
            Some((id, Ok(_))) => ids.push(id),
            Some((_, Err(error))) if !path.exists() => return Err(nothing_there(path, error)),
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

/// What is not a path either is a mistyped id, if it could be one.
fn nothing_there(path: &Path, error: Error) -> Error {
    match error.kind() {
        ErrorKind::NotRegistered { .. } if is_bare(path) => {
            error.step(format!("there is no path {}", path.display()))
        }
        ErrorKind::NotRegistered { .. } => Error::argument(format!(
            "there is no path {}, and no model of the project has that name",
            path.display()
        ))
        .naming(path),
        _ => error,
    }
}

/// Returns whether a path is a name without a folder or an extension.
fn is_bare(path: &Path) -> bool {
    path.components().count() == 1 && path.extension().is_none()
}

/// Prints what would be sent, and what is there.
fn print_plan(session: &Session, reports: &[PublishReport]) -> CliResult {
    let sent = |chunks: usize, bytes: u64, there: usize, bytes_there: u64| {
        format!(
            "{chunks} to send ({}), {there} there ({})",
            render::size(bytes),
            render::size(bytes_there)
        )
    };
    for report in reports {
        session.say(format!(
            "Would publish {}: {}, {}; of {}, {}",
            report.model,
            render::count(report.files, "file"),
            render::size(report.total_bytes),
            render::count(report.chunks, unit(report)),
            sent(
                report.chunks_written,
                report.bytes_written,
                report.chunks_there,
                report.bytes_there
            )
        ))?;
        session.note_left_out(&report.left_out);
    }
    let [first, _, ..] = reports else {
        return Ok(());
    };
    session.say(format!(
        "Would publish {}: of {}, {}",
        render::count(reports.len(), "model"),
        render::count(
            reports.iter().map(|it| it.chunks).sum::<usize>(),
            unit(first)
        ),
        sent(
            reports.iter().map(|it| it.chunks_written).sum(),
            reports.iter().map(|it| it.bytes_written).sum(),
            reports.iter().map(|it| it.chunks_there).sum(),
            reports.iter().map(|it| it.bytes_there).sum()
        )
    ))
}

/// What a model is cut into.
fn unit(report: &PublishReport) -> &'static str {
    match report.registry.is_chunked() {
        true => "chunk",
        false => "layer",
    }
}

/// Sums up what was published.
fn sum(reports: &[PublishReport]) -> String {
    let bytes = reports.iter().map(|report| report.total_bytes).sum();
    let new = reports.iter().map(|report| report.bytes_written).sum();
    format!(
        "Published {}: {}, {} of it new",
        render::count(reports.len(), "model"),
        render::size(bytes),
        render::size(new)
    )
}

fn print(session: &Session, report: &PublishReport) -> CliResult {
    session.say(format!(
        "Published {}: {}, {}, {} ({} new, {})",
        report.model,
        render::count(report.files, "file"),
        render::size(report.total_bytes),
        render::count(report.chunks, unit(report)),
        report.chunks_written,
        render::size(report.bytes_written)
    ))?;
    for alias in &report.aliases {
        session.say(format!("{alias} is another name for it"))?;
    }
    if let Some(address) = &report.address {
        let (path, address) = (&session.path, shell_quoted(address));
        session.say(format!("To pull it: {path} pull {address}"))?;
    }
    session.note_left_out(&report.left_out);
    if let Some(before) = report.replaced {
        session.note(format!(
            "{} had other content before ({before}): those who have it are offered an update",
            report.model
        ));
    }
    Ok(())
}
