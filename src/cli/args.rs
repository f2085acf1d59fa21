//! Arguments that several commands share.
//!
//! The id of a flag or option is its long name with a prefix, so that it differs from the ids of a parent. The flags of the
//! whole tree have no short form.

use std::any::Any;
use std::path::PathBuf;

use clap::{Arg, ArgAction, ArgMatches, value_parser};
use unicode_width::UnicodeWidthStr;

#[cfg(feature = "unstable-completion")]
pub(super) use super::completion::complete;
pub(super) use super::which::Which;
use super::{Flag, Mount};
use crate::config::RateLimit;
use crate::quantity::ByteSize;
use crate::{ModelAddress, Result};

/// The start of every id.
pub(super) const PREFIX: &str = "modelrack_";

pub(super) const JSON: &str = "modelrack_json";
pub(super) const QUIET: &str = "modelrack_quiet";
pub(super) const VERBOSE: &str = "modelrack_verbose";
pub(super) const OFFLINE: &str = "modelrack_offline";
pub(super) const YES: &str = "modelrack_yes";
pub(super) const MODEL: &str = "modelrack_model";
pub(super) const VERSION: &str = "modelrack_version";
pub(super) const NAME: &str = "modelrack_name";
pub(super) const QUERY: &str = "modelrack_query";
pub(super) const SOURCE: &str = "modelrack_source";
pub(super) const REF: &str = "modelrack_ref";
pub(super) const REPO: &str = "modelrack_repo";
pub(super) const ALL: &str = "modelrack_all";
pub(super) const REMOTE: &str = "modelrack_remote";
pub(super) const TYPE: &str = "modelrack_type";
pub(super) const TAG: &str = "modelrack_tag";
pub(super) const FORCE: &str = "modelrack_force";
pub(super) const REPAIR: &str = "modelrack_repair";
pub(super) const REGISTRY: &str = "modelrack_registry";
pub(super) const LOCKED: &str = "modelrack_locked";
pub(super) const FROZEN: &str = "modelrack_frozen";
pub(super) const DRY_RUN: &str = "modelrack_dry-run";
pub(super) const CONCURRENCY: &str = "modelrack_concurrency";
pub(super) const LIMIT_RATE: &str = "modelrack_limit-rate";

/// Returns the flags of every command, without those that the parent defines.
pub(super) fn tree_flags(mount: &Mount) -> impl Iterator<Item = Arg> {
    const OUTPUT: &str = "Output options";
    let json = flag(JSON).help("Print one JSON document, for errors too");
    let quiet = flag(QUIET).help("Print only essential output");
    let verbose = flag(VERBOSE).help("Log requests, retries and file operations");
    let offline = flag(OFFLINE).help("Do not use the network");
    let flags = [
        (Flag::Json, json.help_heading(OUTPUT)),
        (Flag::Quiet, quiet.help_heading(OUTPUT)),
        (Flag::Verbose, verbose.help_heading(OUTPUT)),
        (Flag::Offline, offline.help_heading("Network options")),
    ];
    let wanted = flags.into_iter().filter(|(flag, _)| mount.has(*flag));
    wanted.map(|(_, arg)| arg)
}

/// Creates a switch.
pub(super) fn flag(id: &'static str) -> Arg {
    Arg::new(id)
        .long(id.trim_start_matches(PREFIX))
        .action(ArgAction::SetTrue)
}

/// Creates an option with a value.
pub(super) fn option(id: &'static str, value: &'static str) -> Arg {
    Arg::new(id)
        .long(id.trim_start_matches(PREFIX))
        .value_name(value)
}

/// Creates an option that may be repeated, and whose value may be several, separated by commas.
pub(super) fn list(id: &'static str, value: &'static str) -> Arg {
    option(id, value)
        .action(ArgAction::Append)
        .value_delimiter(',')
}

/// Creates a positional argument.
pub(super) fn positional(id: &'static str, value: &'static str) -> Arg {
    Arg::new(id).value_name(value)
}

/// Creates the arguments MODEL and VERSION.
pub(super) fn model(mount: &Mount, which: Which, required: bool) -> [Arg; 2] {
    let model = positional(MODEL, "MODEL")
        .required(required)
        .help("The model: group/model, group/model@version or source@ref/model");
    let version =
        positional(VERSION, "VERSION").help("The version; may be omitted if there is only one");
    [
        complete(model, mount, which),
        complete(version, mount, which.versions()),
    ]
}

#[cfg(not(feature = "unstable-completion"))]
pub(super) fn complete(arg: Arg, _: &Mount, _: Which) -> Arg {
    arg
}

pub(super) fn source(mount: &Mount) -> Arg {
    let source = option(SOURCE, "SOURCE").help("Only the source with this key or name");
    complete(source, mount, Which::Sources)
}

pub(super) fn reference(mount: &Mount, help: &'static str) -> Arg {
    complete(option(REF, "REF").help(help), mount, Which::Refs)
}

pub(super) fn model_type() -> Arg {
    option(TYPE, "TYPE").help("Only models of this type, such as text-generation")
}

pub(super) fn concurrency() -> Arg {
    option(CONCURRENCY, "N")
        .help("Number of parallel downloads, from 1 to 16 [default: 4, or more if that is faster]")
        .value_parser(value_parser!(u8).range(1..=16))
        .help_heading("Network options")
}

/// Creates the option that limits how fast bytes come.
pub(super) fn limit_rate() -> Arg {
    option(LIMIT_RATE, "SIZE")
        .help("Download at most so many bytes a second in all, such as 20M; 0 for no limit")
        .value_parser(value_parser!(ByteSize))
        .help_heading("Network options")
}

/// Creates the flag that confirms a destructive command, unless the parent defines it.
pub(super) fn yes(mount: &Mount) -> Option<Arg> {
    let yes = flag(YES).short('y').help("Do not ask for confirmation");
    mount.has(Flag::Yes).then_some(yes)
}

/// Reads the model and version of a command that requires them.
pub(super) fn address(matches: &ArgMatches) -> Result<ModelAddress> {
    let model = text(matches, MODEL).unwrap_or_default();
    ModelAddress::parse(model, text(matches, VERSION))
}

/// Reads the model and version of a command that does not require them.
pub(super) fn optional_address(matches: &ArgMatches) -> Result<Option<ModelAddress>> {
    text(matches, MODEL).map(|_| address(matches)).transpose()
}

/// Returns the value of an option; `None` if it is not given, or the command does not have it.
pub(super) fn text<'a>(matches: &'a ArgMatches, id: &str) -> Option<&'a str> {
    value::<String>(matches, id).map(String::as_str)
}

/// Returns the value of an option as an owned string.
pub(super) fn string(matches: &ArgMatches, id: &str) -> Option<String> {
    value(matches, id).cloned()
}

/// Returns all values of an option.
pub(super) fn all<T: Any + Clone + Send + Sync>(matches: &ArgMatches, id: &str) -> Vec<T> {
    let values = matches.get_many(id);
    values.into_iter().flatten().cloned().collect()
}

/// Returns the path that an option names; the empty path if it is not given.
pub(super) fn path(matches: &ArgMatches, id: &str) -> PathBuf {
    value(matches, id).cloned().unwrap_or_default()
}

pub(super) fn value<'a, T>(matches: &'a ArgMatches, id: &str) -> Option<&'a T>
where
    T: Any + Clone + Send + Sync,
{
    matches.try_get_one(id).ok().flatten()
}

/// Returns whether a switch is on; one that the command lacks is off.
pub(super) fn is_set(matches: &ArgMatches, id: &str) -> bool {
    value(matches, id).copied().unwrap_or(false)
}

/// Returns the number of parallel downloads that the user asks for.
pub(super) fn workers(matches: &ArgMatches) -> Option<usize> {
    value::<u8>(matches, CONCURRENCY).map(|workers| usize::from(*workers))
}

/// Returns the limit of how fast bytes come that the user asks for.
pub(super) fn rate_limit(matches: &ArgMatches) -> Option<RateLimit> {
    value(matches, LIMIT_RATE).map(|ByteSize(bytes)| RateLimit::new(*bytes))
}

/// The columns of most terminals. What is wider is broken there, and the end of an example would be read as a command.
const HELP_COLUMNS: usize = 80;

/// Formats the examples of a help text. Each line has a command, without the words before it, and a description, which gets
/// a line of its own where one of them does not fit.
pub(super) fn examples(mount: &Mount, examples: &str) -> String {
    let path = mount.example_path();
    let lines = examples.lines().map(str::trim);
    let lines: Vec<String> = lines
        .filter(|line| !line.is_empty())
        .map(|line| format!("  {path} {line}"))
        .collect();
    let fits = lines.iter().all(|line| line.width() <= HELP_COLUMNS);
    let lines = lines.iter().map(|line| match line.trim().split_once("  ") {
        Some((command, description)) if !fits => {
            format!("\n  {command}\n      {}", description.trim())
        }
        _ => format!("\n{line}"),
    });
    format!("Examples:{}", lines.collect::<String>())
}
