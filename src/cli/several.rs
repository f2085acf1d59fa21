//! Commands that take several models: which words are models, and what becomes of those that fail.

use std::collections::BTreeSet;
use std::fmt;
use std::path::Path;

use clap::{Arg, ArgAction, ArgMatches};
use serde::Serialize;

use super::args::{self, Which, all, complete, positional, text};
use super::ending::{print_hint, show_and_end};
use super::failure::{CliError, CliResult};
use super::hint::hint;
use super::session::Session;
use super::{Mount, unfinished};
use crate::error::chain;
use crate::lock::Lock;
use crate::{Error, ErrorKind, ModelAddress, ModelPattern, ModelRef, RemoteOptions, Result};

/// A model as it was typed: a name, often with the version behind `@`, and the version if that was the second word.
#[derive(Debug)]
pub(super) struct Word {
    pub(super) name: String,
    pub(super) version: Option<String>,
}

impl Word {
    pub(super) fn is_pattern(&self) -> bool {
        ModelPattern::is_pattern(&self.name)
    }

    pub(super) fn address(&self) -> Result<ModelAddress> {
        ModelAddress::parse(&self.name, self.version.as_deref())
    }

    pub(super) fn pattern(&self) -> Result<ModelPattern> {
        ModelPattern::parse(&self.name, self.version.as_deref())
    }
}

impl fmt::Display for Word {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)?;
        match &self.version {
            Some(version) => write!(f, " {version}"),
            None => Ok(()),
        }
    }
}

/// Creates the arguments MODEL and VERSION of a command that takes several models.
pub(super) fn models(mount: &Mount, which: Which, required: bool) -> [Arg; 2] {
    let [model, _] = args::model(mount, which, required);
    let more = positional(args::VERSION, "VERSION|MODEL")
        .action(ArgAction::Append)
        .num_args(0..)
        .help(
            "The version; may be omitted if there is only one. Or more models, each with its version \
             after '@': a second word is a version unless it has an '@' or is the name of a model",
        );
    [model, complete(more, mount, which.versions_or_more())]
}

/// Reads the models of a command line. The second word is the version of the first model, unless it is a model's name.
pub(super) fn words(session: &Session, matches: &ArgMatches, which: Which) -> CliResult<Vec<Word>> {
    let Some(first) = text(matches, args::MODEL) else {
        return Ok(Vec::new());
    };
    let mut more = all::<String>(matches, args::VERSION);
    let has_version = match more.first() {
        Some(second) => !is_model(session, first, second, which)?,
        None => false,
    };
    let version = has_version.then(|| more.remove(0));
    let first = Word {
        name: first.to_owned(),
        version,
    };
    if let (Some(version), Some(word)) = (&first.version, more.first()) {
        refuse_second_version(&first.name, version, word)?;
    }
    let more = more.into_iter().map(|name| Word {
        name,
        version: None,
    });
    Ok([first].into_iter().chain(more).collect())
}

/// Refuses a word behind the version that can be no model, because models have groups: a second version is meant.
fn refuse_second_version(name: &str, version: &str, word: &str) -> Result<()> {
    if word.contains(['/', '@']) || ModelPattern::is_pattern(word) || !name.contains('/') {
        return Ok(());
    }
    Err(Error::argument(format!(
        "'{word}' is no model; several versions of one are written '{name}@{version} {name}@{word}'"
    )))
}

/// Addresses and patterns of one command line.
#[derive(Debug, Default)]
pub(super) struct Named {
    pub(super) models: Vec<ModelAddress>,
    pub(super) patterns: Vec<ModelPattern>,
}

impl Named {
    /// Tells patterns from addresses.
    pub(super) fn of(words: impl IntoIterator<Item = Word>) -> Result<Self> {
        let mut named = Self::default();
        for word in words {
            match word.is_pattern() {
                true => named.patterns.push(word.pattern()?),
                false => named.models.push(word.address()?),
            }
        }
        Ok(named)
    }

    /// Reads words of which each is a model with its version, or a pattern.
    pub(super) fn of_names(names: impl IntoIterator<Item = String>) -> Result<Self> {
        let mut named = Self::default();
        for name in names {
            match ModelPattern::is_pattern(&name) {
                true => named.patterns.push(name.parse()?),
                false => named.models.push(name.parse()?),
            }
        }
        Ok(named)
    }
}

/// Reads the models of a command line that are in a lock, which tells versions from models.
pub(super) fn locked(matches: &ArgMatches, lock: &Path) -> CliResult<Named> {
    let mut names = all::<String>(matches, args::MODEL);
    names.extend(all::<String>(matches, args::VERSION));
    if let Some(file) = names
        .iter()
        .find(|name| name.ends_with(".lock") && Path::new(name).is_file())
    {
        let message =
            format!("'{file}' is a file, and no model: write --locked={file} or --frozen={file}");
        return Err(Error::argument(message).into());
    }
    let [first, second, ..] = names.as_slice() else {
        return Ok(Named::of_names(names)?);
    };
    let lock = Lock::read(lock)?;
    let pair = format!("{first} {second}");
    let is_version = match ModelPattern::is_pattern(first) {
        // No model's name is without a group, and no version of the lock is a pattern.
        true => lock.models().any(|locked| locked.model.version() == second),
        false => pair.parse().is_ok_and(|model| lock.get(&model).is_some()),
    };
    if is_version {
        names.splice(..2, [pair]);
    }
    Ok(Named::of_names(names)?)
}

/// Returns whether a second word is another model, rather than the version of the first. That is told by how it is written,
/// else by what this machine knows of both; the sources are asked only if it may be a model of one whose models have any name.
fn is_model(session: &Session, first: &str, second: &str, which: Which) -> CliResult<bool> {
    if ModelPattern::is_pattern(second) {
        return Ok(true);
    }
    // Where models have groups, a name without one is no model's.
    let may_be_model = second.contains(['/', '@']) || !first.contains('/');
    let (Ok(model), true) = (ModelAddress::parse(second, None), may_be_model) else {
        return Ok(false);
    };
    // Names of branches and tags, too, have such characters.
    let version = ModelAddress::parse(first, Some(second));
    if !first.contains('@') && version.is_ok_and(|it| is_known(session, &it, which, true)) {
        return Ok(false);
    }
    if first.contains('@') || second.contains('@') {
        return Ok(true);
    }
    if is_known(session, &model, which, true) {
        return Ok(true);
    }
    if which == Which::Installed {
        return Ok(false);
    }
    let sources = session.manager.sources()?;
    let below = |name: &String| second.strip_prefix(name.as_str())?.strip_prefix('/');
    let mut names = sources
        .iter()
        .flat_map(|source| [&source.name, &source.key]);
    if names.any(|name| !name.is_empty() && below(name).is_some()) {
        return Ok(true);
    }
    let has_any_name = sources.iter().any(|source| source.name.is_empty());
    Ok(has_any_name && is_known(session, &model, which, session.output.offline))
}

/// Returns whether there is such a model: installed or half pulled, or at a source.
pub(super) fn is_known(
    session: &Session,
    model: &ModelAddress,
    which: Which,
    offline: bool,
) -> bool {
    let result = match which {
        Which::Installed => session.manager.get(model).map(drop),
        _ => {
            let options = RemoteOptions::default()
                .offline(offline)
                .cancel(session.cancel.clone());
            let find = |_| session.manager.get_remote(model, &options).map(drop);
            session.metered_as(&format!("Looking up {model}"), find)
        }
    };
    match result.as_ref().map_err(Error::kind) {
        Ok(()) => true,
        // There is more than one version of it.
        Err(ErrorKind::InvalidRef { choices, .. }) => !choices.is_empty(),
        Err(ErrorKind::HashMismatch { .. } | ErrorKind::Damaged { .. }) => true,
        Err(ErrorKind::NotInstalled { .. }) => {
            unfinished::find(session, model).is_ok_and(|pulls| !pulls.is_empty())
        }
        Err(_) => false,
    }
}

/// What failed of the work on several models. If there is only one, its failure is that of the command.
pub(super) struct Failures {
    is_one: bool,
    failed: Vec<Failure>,
}

#[derive(Serialize)]
struct Failure {
    /// The model as it was typed, or else as it is called.
    address: String,
    /// The model, if it is known.
    #[serde(flatten)]
    model: Option<ModelRef>,
    error: Error,
}

/// The document of a command for several models: its report, and what failed.
#[derive(Serialize)]
struct Document<'a, R> {
    #[serde(flatten)]
    report: &'a R,
    failed: &'a [Failure],
}

impl Failures {
    pub(super) fn of(words: &[Word]) -> Self {
        Self {
            is_one: words.len() < 2,
            failed: Vec::new(),
        }
    }

    /// What fails of several models, even if there is only one.
    pub(super) fn of_many() -> Self {
        Self {
            is_one: false,
            failed: Vec::new(),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.failed.len()
    }

    /// Notes that the work on a model failed.
    pub(super) fn push(&mut self, model: ModelRef, error: Error) {
        self.failed.push(Failure {
            address: model.to_string(),
            model: Some(model),
            error,
        });
    }

    /// Notes that what was asked for failed.
    pub(super) fn push_address(&mut self, address: String, error: Error) {
        self.failed.push(Failure {
            address,
            model: None,
            error,
        });
    }

    /// Passes a result on. A failure is kept for the end, so that the work goes on with the other models.
    pub(super) fn keep<T>(&mut self, word: &Word, result: CliResult<T>) -> CliResult<Option<T>> {
        match result {
            Ok(result) => Ok(Some(result)),
            Err(CliError::Library(error)) if !self.is_one && !error.is_cancelled() => {
                self.failed.push(Failure {
                    address: word.to_string(),
                    model: None,
                    error,
                });
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// Prints the result of a command and what failed; the first failure determines the exit code.
    pub(super) fn show(
        &self,
        session: &Session,
        report: &impl Serialize,
        print: impl FnOnce() -> CliResult,
    ) -> CliResult {
        let errors = || self.failed.iter().map(|failure| &failure.error);
        let failed = &self.failed;
        show_and_end(session, &Document { report, failed }, errors(), || {
            print()?;
            let mut hints = BTreeSet::new();
            for error in errors() {
                session.warn(format!("Failed: {}", chain(error)));
                let hint = hint(session, error);
                if let Some(hint) = hint.filter(|hint| hints.insert(hint.clone())) {
                    print_hint(session, &hint);
                }
            }
            Ok(())
        })
    }
}
