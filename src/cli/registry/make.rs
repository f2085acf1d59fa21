//! `registry make`: write the `models.toml` of a repository from the folders of its models.

use std::path::{Component, Path, PathBuf};

use clap::{ArgMatches, Command};

use super::OUTPUT;
use super::project::{self, path_option};
use crate::cli::args::{self, flag, is_set, option, string, text, value};
use crate::cli::failure::CliResult;
use crate::cli::session::Session;
use crate::cli::{Mount, render};
use crate::project::{MakeOptions, MakeOrigin, MakeReport, Project, RepositoryRef};
use crate::{Error, Result};

const PATH: &str = "modelrack_path";
const ASSET_FILE: &str = "modelrack_asset-file";
const NAMEFILE: &str = "modelrack_namefile";
const URLS: &str = "modelrack_urls";

pub(super) const EXAMPLES: &str = "
    registry make --repo OWNER/NAME --ref main --name mf6 --path mf6  a branch
    registry make --repo OWNER/NAME --ref v1 --asset-file all.zip     a release
    registry make --path ./mf6 --name mf6/test                        a local folder
";

pub(super) fn command(command: Command, _: &Mount) -> Command {
    command
        .about("Write the models.toml of a repository from its model folders")
        // Of an option that is given twice, the last counts.
        .args_override_self(true)
        .args([
            option(args::REPO, "OWNER/NAME")
                .help("The repository, of which the archive at the ref is indexed")
                .requires(args::REF),
            option(args::REF, "REF")
                .help("The branch, tag, release or commit")
                .requires(args::REPO),
            option(args::NAME, "NAME")
                .help("The name of the source, which prefixes the names of models and examples"),
            path_option(PATH, "DIR").help(
                "A folder in the repository or zip [default: the top], or a local folder: an \
                 absolute path, or one that starts with ./ or ../",
            ),
            option(ASSET_FILE, "ZIP")
                .help("Index this zip of the release instead of the repository")
                .requires(args::REPO),
            option(NAMEFILE, "PATTERN")
                .help("The files that mark a folder as a model; * and ? are wildcards")
                .default_value("mfsim.nam"),
            path_option(OUTPUT, "DIR")
                .help("The folder for models.toml")
                .default_value(".registry"),
            project::registry()
                .help("The file to write, instead of models.toml in a folder")
                .conflicts_with(OUTPUT),
            flag(URLS).help("Add a URL to each file, for readers that need it"),
        ])
}

pub(super) fn execute(session: &Session, matches: &ArgMatches) -> CliResult {
    let mut options = MakeOptions::new(session.mount.config.clone(), origin(matches)?)
        .environment(session.mount.open_environment())
        .name(text(matches, args::NAME).unwrap_or_default())
        .namefile(text(matches, NAMEFILE).unwrap_or_default())
        .output(args::path(matches, OUTPUT))
        .urls(is_set(matches, URLS))
        .offline(session.output.offline)
        .cancel(session.cancel.clone());
    options.registry_path = project::registry_path(matches);
    let work = match &options.origin {
        MakeOrigin::Archive { repository, .. } | MakeOrigin::Asset { repository, .. } => {
            format!("Looking up {}", repository.repo)
        }
        _ => String::new(),
    };
    let report = session.metered_as(&work, |meter| Project::make(&options.progress(meter)))?;
    session.show(&report, || print(session, &report))
}

fn print(session: &Session, report: &MakeReport) -> CliResult {
    session.say(format!(
        "Made {}: {}, {}, {}, {} ({})",
        report.path.display(),
        render::count(report.models, "model"),
        render::count(report.examples, "example"),
        render::count(report.files, "file"),
        render::size(report.total_bytes),
        report.source
    ))?;
    report.notes.iter().for_each(|note| session.note(note));
    session.note_left_out(&report.left_out);
    Ok(())
}

/// Reads where the models are: on this machine, if no repository is named or the folder is not part of one.
fn origin(matches: &ArgMatches) -> Result<MakeOrigin> {
    let repository = text(matches, args::REPO).zip(text(matches, args::REF));
    let repository = repository.map(|(repo, reference)| RepositoryRef::new(repo, reference));
    let path = value::<PathBuf>(matches, PATH);
    let asset_file = string(matches, ASSET_FILE);
    match (repository, path) {
        (Some(repository), path) if !path.is_some_and(|path| is_local(path)) => {
            let path = path
                .map_or("".into(), |path| path.to_string_lossy())
                .into_owned();
            Ok(match asset_file {
                None => MakeOrigin::Archive { repository, path },
                Some(file) => MakeOrigin::Asset {
                    repository,
                    file,
                    path,
                },
            })
        }
        _ if asset_file.is_some() => Err(Error::argument(
            "--asset-file names a zip of a release, and --path a local folder: pass only one of \
             them",
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
