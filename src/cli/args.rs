//! Arguments that several commands have. Every id is namespaced; the flags of the whole tree have no short form.

use clap::{Arg, ArgAction, ArgMatches, value_parser};

use super::{Flag, Mount};
use crate::{ModelAddress, Result};

pub(super) const JSON: &str = "modelrack_json";
pub(super) const QUIET: &str = "modelrack_quiet";
pub(super) const VERBOSE: &str = "modelrack_verbose";
pub(super) const OFFLINE: &str = "modelrack_offline";
pub(super) const YES: &str = "modelrack_yes";
pub(super) const MODEL: &str = "modelrack_model";
pub(super) const VERSION: &str = "modelrack_version";
pub(super) const SOURCE: &str = "modelrack_source";
pub(super) const REF: &str = "modelrack_ref";
pub(super) const REMOTE: &str = "modelrack_remote";
pub(super) const TYPE: &str = "modelrack_type";
pub(super) const FORCE: &str = "modelrack_force";
pub(super) const CONCURRENCY: &str = "modelrack_concurrency";

/// The flags of every command, less those that the parent owns.
pub(super) fn tree_flags(mount: &Mount) -> Vec<Arg> {
    const OUTPUT: &str = "Output options";
    let flags = [
        (
            Flag::Json,
            flag(JSON, "json", "Print one JSON document, errors included").help_heading(OUTPUT),
        ),
        (
            Flag::Quiet,
            flag(QUIET, "quiet", "Print only the essential").help_heading(OUTPUT),
        ),
        (
            Flag::Verbose,
            flag(
                VERBOSE,
                "verbose",
                "Tell each request, retry and file operation",
            )
            .help_heading(OUTPUT),
        ),
        (
            Flag::Offline,
            flag(OFFLINE, "offline", "Open no socket; use what is here")
                .help_heading("Network options"),
        ),
    ];
    flags
        .into_iter()
        .filter(|(flag, _)| mount.has(*flag))
        .map(|(_, arg)| arg)
        .collect()
}

/// A switch.
pub(super) fn flag(id: &'static str, long: &'static str, help: &'static str) -> Arg {
    Arg::new(id)
        .long(long)
        .action(ArgAction::SetTrue)
        .help(help)
}

/// An option with a value.
pub(super) fn option(
    id: &'static str,
    long: &'static str,
    value: &'static str,
    help: &'static str,
) -> Arg {
    Arg::new(id).long(long).value_name(value).help(help)
}

/// The model, as people name it, and its version: two arguments that go together.
pub(super) fn model(mount: &Mount, which: Which, required: bool) -> [Arg; 2] {
    let model = Arg::new(MODEL)
        .value_name("MODEL")
        .required(required)
        .help("The model: group/model, group/model@version or source@ref/model");
    let version = Arg::new(VERSION)
        .value_name("VERSION")
        .help("Its version; may be left out when there is only one");
    [
        complete(model, mount, which),
        complete(version, mount, which.versions()),
    ]
}

/// Which names complete.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(
    not(feature = "unstable-completion"),
    allow(dead_code, reason = "only completion asks")
)]
pub(super) enum Which {
    /// Those of installed models.
    Installed,
    /// Those of cached registries.
    Offered,
    /// Versions of installed models.
    InstalledVersions,
    /// Versions in cached registries.
    OfferedVersions,
    /// Keys and names of sources.
    Sources,
    /// Refs, configured or cached.
    Refs,
}

impl Which {
    fn versions(self) -> Self {
        match self {
            Self::Installed => Self::InstalledVersions,
            _ => Self::OfferedVersions,
        }
    }
}

#[cfg(not(feature = "unstable-completion"))]
fn complete(arg: Arg, _: &Mount, _: Which) -> Arg {
    arg
}

/// Completes from local files only: a shell that waits for a network is worse than one that does not complete.
#[cfg(feature = "unstable-completion")]
fn complete(arg: Arg, mount: &Mount, which: Which) -> Arg {
    use clap_complete::engine::{ArgValueCompleter, CompletionCandidate};

    let mount = mount.clone();
    arg.add(ArgValueCompleter::new(move |current: &std::ffi::OsStr| {
        let current = current.to_string_lossy();
        let manager = mount.open_manager(mount.open_environment());
        let mut names = candidates(manager.as_ref(), which).unwrap_or_default();
        names.retain(|name| name.starts_with(&*current));
        names.sort_unstable();
        names.dedup();
        names.into_iter().map(CompletionCandidate::new).collect()
    }))
}

/// What there is to choose from. A model of a source with a name has two addresses: `source/model`, `source@ref/model`.
#[cfg(feature = "unstable-completion")]
fn candidates(manager: &dyn crate::Manager, which: Which) -> Result<Vec<String>> {
    use crate::{ListOptions, ModelRef, RemoteOptions};

    let models: Vec<ModelRef> = match which {
        Which::Installed | Which::InstalledVersions => {
            let listing = manager.list(&ListOptions::default())?;
            listing
                .models
                .into_iter()
                .map(|model| model.model)
                .collect()
        }
        Which::Offered | Which::OfferedVersions => {
            let listing = manager.list_remote(&RemoteOptions::default().offline(true))?;
            listing
                .models
                .into_iter()
                .map(|remote| remote.model)
                .collect()
        }
        Which::Sources | Which::Refs => Vec::new(),
    };
    let sources = manager.sources()?;
    Ok(match which {
        Which::InstalledVersions | Which::OfferedVersions => models
            .iter()
            .map(|model| model.version().to_owned())
            .collect(),
        Which::Sources => {
            let sources = sources.into_iter();
            sources
                .flat_map(|source| [source.key, source.name])
                .collect()
        }
        Which::Refs => {
            let refs = sources.into_iter().flat_map(|source| source.refs);
            refs.map(|reference| reference.reference).collect()
        }
        Which::Installed | Which::Offered => {
            let mut names: Vec<String> = models
                .iter()
                .map(|model| model.name().to_string())
                .collect();
            for source in sources.iter().map(|source| &source.name) {
                names.extend(models.iter().filter_map(|model| {
                    let name = model.name().to_string();
                    let path = name.strip_prefix(source.as_str())?.strip_prefix('/')?;
                    Some(format!("{source}@{}/{path}", model.version()))
                }));
            }
            names
        }
    })
}

pub(super) fn source(mount: &Mount) -> Arg {
    let source = option(
        SOURCE,
        "source",
        "SOURCE",
        "Only of the source with this key or name",
    );
    complete(source, mount, Which::Sources)
}

pub(super) fn reference(mount: &Mount, help: &'static str) -> Arg {
    complete(option(REF, "ref", "REF", help), mount, Which::Refs)
}

pub(super) fn model_type() -> Arg {
    option(
        TYPE,
        "type",
        "TYPE",
        "Only of this type, as in text-generation",
    )
}

pub(super) fn remote(help: &'static str) -> Arg {
    flag(REMOTE, "remote", help)
}

pub(super) fn concurrency() -> Arg {
    option(
        CONCURRENCY,
        "concurrency",
        "N",
        "How many parts to fetch at once, from 1 to 16 [default: 4, more for small ones]",
    )
    .value_parser(value_parser!(u8).range(1..=16))
    .help_heading("Network options")
}

/// Answers the question of a command that destroys something; absent where the parent has that flag.
pub(super) fn yes(mount: &Mount) -> Option<Arg> {
    mount
        .has(Flag::Yes)
        .then(|| flag(YES, "yes", "Do not ask").short('y'))
}

/// Reads the model and version of a command that needs one.
pub(super) fn address(matches: &ArgMatches) -> Result<ModelAddress> {
    let model = text(matches, MODEL).unwrap_or_default();
    ModelAddress::parse(model, text(matches, VERSION))
}

/// Reads the model and version of a command that can do without.
pub(super) fn optional_address(matches: &ArgMatches) -> Result<Option<ModelAddress>> {
    text(matches, MODEL).map(|_| address(matches)).transpose()
}

pub(super) fn text<'a>(matches: &'a ArgMatches, id: &str) -> Option<&'a str> {
    matches
        .try_get_one::<String>(id)
        .ok()
        .flatten()
        .map(String::as_str)
}

/// Reads a switch; one that the command does not have is off.
pub(super) fn is_set(matches: &ArgMatches, id: &str) -> bool {
    matches
        .try_get_one::<bool>(id)
        .ok()
        .flatten()
        .copied()
        .unwrap_or(false)
}

pub(super) fn workers(matches: &ArgMatches) -> Option<usize> {
    matches
        .try_get_one::<u8>(CONCURRENCY)
        .ok()
        .flatten()
        .map(|workers| usize::from(*workers))
}

/// The examples of a help text, each with what it shows.
pub(super) fn examples(mount: &Mount, examples: &[(&str, &str)]) -> String {
    let path = mount.example_path();
    let width = examples
        .iter()
        .map(|(line, _)| line.len())
        .max()
        .unwrap_or_default();
    let mut text = String::from("Examples:");
    for (line, about) in examples {
        text.push_str(&format!("\n  {path} {line:width$}  {about}"));
    }
    text
}
