//! Completing names in the shell, from local files only: a shell must not wait for the network.

use std::ffi::{OsStr, OsString};

use clap::Arg;
use clap_complete::engine::{
    ArgValueCompleter, CompletionCandidate, PathCompleter, ValueCompleter,
};

use super::Mount;
use super::which::Which;
use crate::{ListOptions, Manager, ModelRef, RemoteOptions, Result};

/// Completes an argument with names.
pub(super) fn complete(arg: Arg, mount: &Mount, which: Which) -> Arg {
    let mount = mount.clone();
    arg.add(ArgValueCompleter::new(move |current: &OsStr| {
        let environment = mount.open_environment();
        let words = environment.command_line().to_vec();
        let manager = mount.open_manager(environment);
        let names = find(manager.as_ref(), which, current, &words).unwrap_or_default();
        let mut candidates = beginning_with(current, names);
        let paths = match which {
            Which::InstalledVersionsOrFolders => Some(PathCompleter::dir()),
            Which::SourcesOrPaths => Some(PathCompleter::any()),
            #[cfg(feature = "author")]
            Which::RegisteredOrPaths => Some(PathCompleter::any()),
            _ => None,
        };
        candidates.extend(
            paths
                .map(|paths| paths.complete(current))
                .into_iter()
                .flatten(),
        );
        candidates
    }))
}

fn beginning_with(current: &OsStr, mut names: Vec<String>) -> Vec<CompletionCandidate> {
    let current = current.to_string_lossy();
    // The source of a plain URL has no name.
    names.retain(|name| !name.is_empty() && name.starts_with(&*current));
    names.sort_unstable();
    names.dedup();
    names.into_iter().map(CompletionCandidate::new).collect()
}

/// Finds the names for an argument of which `current` is typed, in a command line of these words.
fn find(
    manager: &dyn Manager,
    which: Which,
    current: &OsStr,
    words: &[OsString],
) -> Result<Vec<String>> {
    match which {
        Which::Installed => addresses(manager, &installed(manager)?, current),
        Which::Offered => addresses(manager, &offered(manager)?, current),
        Which::InstalledVersions | Which::InstalledVersionsOrFolders => {
            Ok(versions(&installed(manager)?, words))
        }
        Which::OfferedVersions => Ok(versions(&offered(manager)?, words)),
        Which::InstalledOrVersions | Which::OfferedOrVersions => {
            let models = match which {
                Which::InstalledOrVersions => installed(manager),
                _ => offered(manager),
            }?;
            let mut names = versions(&models, words);
            names.extend(addresses(manager, &models, current)?);
            Ok(names)
        }
        Which::Sources | Which::SourcesOrPaths => sources(manager),
        Which::InstalledOrSources => {
            let mut names = addresses(manager, &installed(manager)?, current)?;
            names.extend(sources(manager)?);
            Ok(names)
        }
        Which::Refs => {
            let sources = manager.sources()?.into_iter();
            let refs = sources.flat_map(|source| source.refs);
            Ok(refs.map(|info| info.reference).collect())
        }
        #[cfg(feature = "author")]
        Which::Registered | Which::RegisteredOrPaths => registered(".".as_ref(), words),
    }
}

fn sources(manager: &dyn Manager) -> Result<Vec<String>> {
    let sources = manager.sources()?.into_iter();
    let names = sources.flat_map(|source| [source.key, source.name]);
    Ok(names.collect())
}

fn installed(manager: &dyn Manager) -> Result<Vec<ModelRef>> {
    let models = manager.list(&ListOptions::default())?.models.into_iter();
    Ok(models.map(|installed| installed.model).collect())
}

fn offered(manager: &dyn Manager) -> Result<Vec<ModelRef>> {
    let options = RemoteOptions::default().offline(true);
    let models = manager.list_remote(&options)?.models.into_iter();
    Ok(models.map(|remote| remote.model).collect())
}

/// Lists the versions of the model that one of the words names; of all models if none does.
fn versions(models: &[ModelRef], words: &[OsString]) -> Vec<String> {
    let is_named = |model: &&ModelRef| {
        let name = OsString::from(model.name().to_string());
        words.contains(&name)
    };
    let mut of: Vec<&ModelRef> = models.iter().filter(is_named).collect();
    if of.is_empty() {
        of.extend(models);
    }
    of.iter().map(|model| model.version().to_owned()).collect()
}

/// Lists the names of models or, once an `@` is typed, their addresses with it: `group/model@version` and, for those of a
/// named source, `source@ref/model`.
fn addresses(manager: &dyn Manager, models: &[ModelRef], current: &OsStr) -> Result<Vec<String>> {
    if !current.to_string_lossy().contains('@') {
        return Ok(models
            .iter()
            .map(|model| model.name().to_string())
            .collect());
    }
    let addresses = models
        .iter()
        .map(|model| format!("{}@{}", model.name(), model.version()));
    let mut addresses: Vec<String> = addresses.collect();
    for source in manager.sources()? {
        addresses.extend(models.iter().filter_map(|model| {
            let name = model.name().to_string();
            let path = name.strip_prefix(&source.name)?.strip_prefix('/')?;
            Some(format!("{}@{}/{path}", source.name, model.version()))
        }));
    }
    Ok(addresses)
}

/// Lists the ids of the project that a folder belongs to, or that the words of the command line name.
#[cfg(feature = "author")]
fn registered(folder: &std::path::Path, words: &[OsString]) -> Result<Vec<String>> {
    use crate::project::{Project, ProjectOptions};

    let options = match value_of("--registry", words) {
        Some(file) => ProjectOptions::default().registry_path(file),
        None => ProjectOptions::default(),
    };
    let project = match value_of("--project", words) {
        Some(folder) => Project::open(folder, &options),
        None => Project::find(folder, &options),
    }?;
    let registry = project.registry();
    let ids = registry.entries.keys().chain(registry.targets.keys());
    Ok(ids.cloned().collect())
}

/// Returns the value of an option in the words of a command line.
#[cfg(feature = "author")]
fn value_of(option: &str, words: &[OsString]) -> Option<OsString> {
    let mut words = words.iter();
    while let Some(word) = words.next() {
        let rest = word.to_str().and_then(|word| word.strip_prefix(option));
        match rest.map(|rest| (rest, rest.strip_prefix('='))) {
            Some((_, Some(value))) => return Some(value.into()),
            Some(("", None)) => return words.next().cloned(),
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_those_of_the_model_that_is_typed() {
        let model = |name, version| ModelRef::new("g", name, version).unwrap();
        let models = [model("m", "v1"), model("m", "v2"), model("n", "v3")];
        let of = |line: &str| {
            let words: Vec<OsString> = line.split(' ').map(OsString::from).collect();
            versions(&models, &words)
        };
        assert_eq!(of("tool models remove g/m "), ["v1", "v2"]);
        assert_eq!(of("tool models remove g/n v"), ["v3"]);
        assert_eq!(of("tool models remove g/o "), ["v1", "v2", "v3"]);
    }

    #[test]
    fn the_source_without_a_name_is_not_offered() {
        let names = vec![String::new(), "digits".to_owned()];
        let candidates = beginning_with("".as_ref(), names);
        let values = candidates.iter().map(CompletionCandidate::get_value);
        assert_eq!(values.collect::<Vec<_>>(), ["digits"]);
    }

    #[cfg(feature = "author")]
    #[test]
    fn ids_of_the_project_complete() {
        use crate::project::{AddOptions, Project, ProjectOptions};

        let folder = tempfile::tempdir().unwrap();
        let below = folder.path().join("below");
        std::fs::create_dir(&below).unwrap();
        let completed = |current: &str| -> Vec<String> {
            let ids = registered(&below, &[]).unwrap_or_default();
            let candidates = beginning_with(current.as_ref(), ids).into_iter();
            candidates
                .map(|candidate| candidate.get_value().to_str().unwrap().to_owned())
                .collect()
        };
        assert_eq!(completed(""), Vec::<String>::new());
        for id in ["sir", "seir", "tiny"] {
            let file = below.join(format!("{id}.bin"));
            std::fs::write(&file, id).unwrap();
            let mut project = Project::open(&folder, &ProjectOptions::default()).unwrap();
            project.add(&[file], &AddOptions::default()).unwrap();
        }
        assert_eq!(completed(""), ["seir", "sir", "tiny"]);
        assert_eq!(completed("s"), ["seir", "sir"]);
        assert_eq!(completed("x"), Vec::<String>::new());

        // A registry of its own, wherever the command is typed.
        let file = below.join("drafts.toml");
        let drafts = ProjectOptions::default().registry_path(&file);
        let mut project = Project::open(&folder, &drafts).unwrap();
        let model = below.join("tiny.bin");
        project.add(&[model], &AddOptions::default()).unwrap();
        for words in [
            vec![format!("--registry={}", file.display())],
            vec!["--registry".to_owned(), file.display().to_string()],
        ] {
            let words: Vec<OsString> = words.into_iter().map(OsString::from).collect();
            assert_eq!(registered(&below, &words).unwrap(), ["tiny"]);
        }
    }
}
