//! `registry make`: write the `models.toml` of a repository from the folders of its models.

use std::path::{Component, Path, PathBuf};

use clap::{ArgMatches, Command, value_parser};

use crate::cli::args::{self, is_set, text};
use crate::cli::ending::CliResult;
use crate::cli::session::Session;
use crate::cli::{Mount, render};
use crate::project::{MakeOptions, MakeOrigin, Project, RepositoryRef};
use crate::{Error, Result};

const REPO: &str = "modelrack_repo";
const NAME: &str = "modelrack_name";
const PATH: &str = "modelrack_path";
const ASSET_FILE: &str = "modelrack_asset_file";
const NAMEFILE: &str = "modelrack_namefile";
const OUTPUT: &str = "modelrack_output";
const URLS: &str = "modelrack_urls";

pub(super) fn command(command: Command, mount: &Mount) -> Command {
    command
        .about("Write the models.toml of a repository from its model folders")
        .arg(
            args::option(REPO, "repo", "OWNER/NAME", "The repository, of which the archive at the ref is indexed")
                .requires(args::REF),
        )
        .arg(args::option(args::REF, "ref", "REF", "The branch, tag, release or commit").requires(REPO))
        .arg(args::option(NAME, "name", "NAME", "The name of the source, which prefixes the names of models and examples"))
        .arg(
            args::option(PATH, "path", "DIR", "A folder in the repository or zip [default: the top], or a local folder: an absolute path, or one that starts with ./ or ../")
                .value_parser(value_parser!(PathBuf)),
        )
        .arg(
            args::option(ASSET_FILE, "asset-file", "ZIP", "Index this zip of the release instead of the repository")
                .requires(REPO),
        )
        .arg(
            args::option(NAMEFILE, "namefile", "PATTERN", "The files that mark a folder as a model; * and ? are wildcards")
                .default_value("mfsim.nam"),
        )
        .arg(
            args::option(OUTPUT, "output", "DIR", "The folder for models.toml")
                .default_value(".registry")
                .value_parser(value_parser!(PathBuf)),
        )
        .arg(args::flag(URLS, "urls", "Add a URL to each file, for readers that need it"))
        .after_help(args::examples(
            mount,
            &[
                ("registry make --repo OWNER/NAME --ref develop --name mf6/test --path mf6", "a branch"),
                ("registry make --repo OWNER/NAME --ref v1 --asset-file all.zip --name mf6", "a release"),
                ("registry make --path ./mf6 --name mf6/test", "a local folder"),
            ],
        ))
}

pub(super) fn execute(session: &mut Session, matches: &ArgMatches) -> CliResult {
    let mut options = MakeOptions::new(session.config.clone(), origin(matches)?)
        .environment(session.environment.clone())
        .name(text(matches, NAME).unwrap_or_default())
        .urls(is_set(matches, URLS))
        .offline(session.output.offline)
        .cancel(session.cancel.clone());
    if let Some(pattern) = text(matches, NAMEFILE) {
        options = options.namefile(pattern);
    }
    if let Some(output) = matches.get_one::<PathBuf>(OUTPUT) {
        options = options.output(output);
    }
    let report = Project::make(&options)?;
    if session.output.json {
        return session.json(&report);
    }
    session.say(format!(
        "Made {}: {}, {}, {}, {} ({})",
        render::safe(&report.path.display().to_string()),
        render::count(report.models as u64, "model"),
        render::count(report.examples as u64, "example"),
        render::count(report.files as u64, "file"),
        render::size(report.total_bytes),
        render::safe(&report.source)
    ))?;
    for note in &report.notes {
        session.note(note);
    }
    Ok(())
}

/// Reads where the models are: on this machine, if no repository is named or the folder is not part of one.
fn origin(matches: &ArgMatches) -> Result<MakeOrigin> {
    let repository = text(matches, REPO).zip(text(matches, args::REF));
    let repository = repository.map(|(repo, reference)| RepositoryRef::new(repo, reference));
    let path = matches.get_one::<PathBuf>(PATH);
    let asset_file = text(matches, ASSET_FILE).map(str::to_owned);
    match (repository, path) {
        (Some(repository), path) if !path.is_some_and(|path| is_local(path)) => {
            let path = path.map_or(String::new(), |path| path.to_string_lossy().into_owned());
            Ok(match asset_file {
                Some(file) => MakeOrigin::Asset {
                    repository,
                    file,
                    path,
                },
                None => MakeOrigin::Archive { repository, path },
            })
        }
        _ if asset_file.is_some() => Err(Error::argument(
            "--asset-file names a zip of a release, and --path a local folder: pass only one of them",
        )),
        (repository, path) => Ok(MakeOrigin::Folder {
            path: path.cloned().unwrap_or_else(|| PathBuf::from(".")),
            repository,
        }),
    }
}

fn is_local(path: &Path) -> bool {
    !matches!(path.components().next(), Some(Component::Normal(_)) | None)
}
