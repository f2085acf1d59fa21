//! Completing names in the shell, from local files only: a shell must not wait for the network.

use std::ffi::OsStr;

use clap::Arg;
use clap_complete::engine::{ArgValueCompleter, CompletionCandidate};

use super::Mount;
use super::args::Which;
use crate::{ListOptions, Manager, ModelRef, RemoteOptions, Result};

/// Completes an argument with names.
pub(super) fn complete(arg: Arg, mount: &Mount, which: Which) -> Arg {
    let mount = mount.clone();
    arg.add(ArgValueCompleter::new(move |current: &OsStr| {
        let current = current.to_string_lossy();
        let manager = mount.open_manager(mount.open_environment());
        let mut names = find(manager.as_ref(), which).unwrap_or_default();
        names.retain(|name| name.starts_with(&*current));
        names.sort_unstable();
        names.dedup();
        names.into_iter().map(CompletionCandidate::new).collect()
    }))
}

fn find(manager: &dyn Manager, which: Which) -> Result<Vec<String>> {
    match which {
        Which::Installed => addresses(manager, &installed(manager)?),
        Which::Offered => addresses(manager, &offered(manager)?),
        Which::InstalledVersions => Ok(versions(&installed(manager)?)),
        Which::OfferedVersions => Ok(versions(&offered(manager)?)),
        Which::Sources => {
            let sources = manager.sources()?.into_iter();
            Ok(sources
                .flat_map(|source| [source.key, source.name])
                .collect())
        }
        Which::Refs => {
            let refs = manager
                .sources()?
                .into_iter()
                .flat_map(|source| source.refs);
            Ok(refs.map(|info| info.reference).collect())
        }
    }
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

fn versions(models: &[ModelRef]) -> Vec<String> {
    models
        .iter()
        .map(|model| model.version().to_owned())
        .collect()
}

/// Lists the addresses of models: their names and, for those of a named source, `source@ref/model`.
fn addresses(manager: &dyn Manager, models: &[ModelRef]) -> Result<Vec<String>> {
    let names = models.iter().map(|model| model.name().to_string());
    let mut names: Vec<String> = names.collect();
    for source in manager.sources()? {
        names.extend(models.iter().filter_map(|model| {
            let name = model.name().to_string();
            let path = name.strip_prefix(&source.name)?.strip_prefix('/')?;
            Some(format!("{}@{}/{path}", source.name, model.version()))
        }));
    }
    Ok(names)
}
