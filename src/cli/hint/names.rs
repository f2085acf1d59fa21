//! What to do about a model that is not there, or cannot be as it is called.

use std::collections::BTreeSet;

use super::access::login;
use super::shell_quoted;
use crate::cli::session::Session;
use crate::manifest::RelPath;
use crate::{ErrorKind, ModelPattern};

/// About models, versions and files, by their names.
pub(super) fn about_names(session: &Session, kind: &ErrorKind) -> Option<String> {
    let path = &session.path;
    Some(match kind {
        ErrorKind::ModelNotFound {
            token_variable: Some(variable),
            ..
        } => format!(
            "the model does not exist or is private: set {variable} to a token that may read it, \
             or find others with '{path} search --remote WORDS'"
        ),
        ErrorKind::ModelNotFound {
            registry: Some(registry),
            ..
        } => format!(
            "check the name; where it is private, log in with {}: some registries do not tell",
            login(registry)
        ),
        ErrorKind::ModelNotFound { near, sources, .. } => or_near(
            near,
            match sources.first() {
                Some(source) => format!(
                    "list the models of '{source}' with '{path} list --remote --source {source}'"
                ),
                None => format!("list all models with '{path} list --remote'"),
            },
        ),
        ErrorKind::UnusableFiles {
            files,
            can_exclude: true,
            ..
        } => match excludes(files) {
            Some(excludes) => format!("pull the other files with {excludes}"),
            None => "pull only the files that you need with --include".into(),
        },
        ErrorKind::NotRegistered { near, .. } => or_near(
            near,
            format!("list what is registered with '{path} registry list'"),
        ),
        ErrorKind::VersionNotFound {
            is_revision: true,
            near,
            ..
        } if !near.is_empty() => format!("the model is at {}", near.join(", ")),
        ErrorKind::VersionNotFound {
            is_revision: true, ..
        } => "versions of this model are branches, tags, commits and pull requests, such as \
             refs/pr/1"
            .into(),
        ErrorKind::VersionNotFound { near, model, .. } => or_near(
            near,
            format!("list its versions with '{path} list --remote {model}'"),
        ),
        ErrorKind::NotInstalled { near, model } => or_near(
            near,
            match session.verb {
                "remove" => format!("list what is installed with '{path} list'"),
                _ => format!("install it with '{path} pull {model}'"),
            },
        ),
        ErrorKind::FolderMissing { model, .. } => {
            format!("restore it with '{path} pull {model}'")
        }
        ErrorKind::Damaged { model, .. } => {
            format!("repair it with '{path} verify --repair {model}'")
        }
        ErrorKind::InvalidRef { choices, .. } if !choices.is_empty() => {
            format!("choose one of: {}", first_of(choices))
        }
        ErrorKind::InvalidRef { input, .. } if input.contains("://") => {
            "name a model as oci://HOST/NAME:TAG, or as group/model of a source that is configured"
                .into()
        }
        ErrorKind::InvalidRef { input, .. } if ModelPattern::is_pattern(input) => format!(
            "patterns are for pull, lock and mirror; '{path} list' shows the names to choose from"
        ),
        ErrorKind::InvalidRef { .. } => {
            "name a model as group/model, with a version after a space or '@'".into()
        }
        ErrorKind::Collision { .. } => format!("remove the other one first with '{path} remove'"),
        ErrorKind::Exists { .. } if session.verb == "tag" => {
            format!("remove the model first with '{path} remove', or choose another version")
        }
        ErrorKind::Exists { .. } => "replace it with --force".into(),
        _ => return None,
    })
}

fn or_near(near: &[String], otherwise: String) -> String {
    match near {
        [] => otherwise,
        near => format!("did you mean {}?", near.join(" or ")),
    }
}

/// How many choices a hint names at most: a registry may have thousands of tags.
const MAX_CHOICES: usize = 20;

fn first_of(choices: &[String]) -> String {
    let first = choices[..choices.len().min(MAX_CHOICES)].join(", ");
    match choices.len().saturating_sub(MAX_CHOICES) {
        0 => first,
        more => format!("{first} and {more} more"),
    }
}

/// How many options a hint names at most.
const MAX_EXCLUDES: usize = 8;

/// Returns the options that exclude files which cannot be installed: of each name, the part up to the first folder that is
/// at fault, so that one pattern is enough for all that is below it.
fn excludes(files: &[String]) -> Option<String> {
    let pattern = |name: &String| {
        let ends = name.match_indices('/').map(|(at, _)| at);
        let mut folders = ends.map(|end| &name[..end]);
        let is_bad = |folder: &&str| !folder.is_empty() && RelPath::parse(folder).is_err();
        match folders.find(is_bad) {
            Some(folder) => format!("{}/*", literal(folder)),
            None => literal(name),
        }
    };
    let patterns: BTreeSet<String> = files.iter().map(pattern).collect();
    let options = patterns.iter().map(|pattern| {
        let quoted = shell_quoted(pattern);
        match pattern.starts_with('-') {
            true => format!("--exclude={quoted}"),
            false => format!("--exclude {quoted}"),
        }
    });
    (patterns.len() <= MAX_EXCLUDES).then(|| options.collect::<Vec<_>>().join(" "))
}

/// Returns the pattern of a name: characters that cannot be typed, or that patterns and quotes take for something else,
/// match any.
fn literal(name: &str) -> String {
    let any =
        |c: char| c.is_control() || "[*'\"\\".contains(c) || !(c.is_ascii() || c.is_alphanumeric());
    name.chars().map(|c| if any(c) { '?' } else { c }).collect()
}
