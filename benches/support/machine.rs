//! Machines that sync and pull from a repository, and the roles that measure them.
#![allow(dead_code, reason = "each benchmark uses its own part")]

use std::borrow::Cow;
use std::path::{Path, PathBuf};
use std::time::Instant;

use modelrack::config::System;
use modelrack::{Config, Environment, Manager, ModelManager, SyncOptions};

use crate::forge::Forge;
use crate::hosted::{REFERENCE, REPO};
use crate::support::{Folder, Numbers, Result, run_role, say, say_usage};

/// A store and cached registries of their own.
pub(crate) struct Machine {
    home: PathBuf,
    pub(crate) url: String,
}

impl Machine {
    pub(crate) fn new(forge: &Forge, folder: &Folder) -> Result<Self> {
        Ok(Self {
            home: folder.lasting("machine")?,
            url: forge.url(),
        })
    }

    /// One that has synced.
    pub(crate) fn synced(forge: &Forge, folder: &Folder) -> Result<Self> {
        let machine = Self::new(forge, folder)?;
        machine.sync()?;
        Ok(machine)
    }

    pub(crate) fn sync(&self) -> Result<Numbers> {
        run_role("sync", [&*self.url, &*self.home()])
    }

    /// Plays a role that finds so many models or files.
    pub(crate) fn run(&self, role: &[&str], finds: usize) -> Result<Numbers> {
        let (name, arguments) = role.split_first().ok_or("no role")?;
        let place = [&*self.url, &*self.home()];
        let numbers = run_role(name, [&place, arguments].concat())?;
        let found = numbers.need("found")?;
        if found == finds as f64 {
            Ok(numbers)
        } else {
            Err(format!("the role {name} found {found}, not {finds}").into())
        }
    }

    pub(crate) fn home(&self) -> Cow<'_, str> {
        self.home.to_string_lossy()
    }
}

pub(crate) fn manager(url: &str, home: &str) -> ModelManager {
    let home = Path::new(home);
    let config = Config::new("bench")
        .bootstrap(format!(
            "[sources.models]\nrepo = \"{REPO}\"\nrefs = [\"{REFERENCE}\"]\nserver = \"{url}\"\n"
        ))
        .data_dir(home.join("models"))
        .cache_dir(home.join("cache"));
    ModelManager::builder(config)
        .environment(Environment::empty(System::Linux, home).boot("bench"))
        .build()
}

pub(crate) fn sync(manager: &ModelManager) -> Result<usize> {
    let report = manager.sync(&SyncOptions::default())?;
    match report.failed.into_iter().next() {
        Some(failed) => Err(failed.error.into()),
        None => Ok(report.synced.iter().map(|synced| synced.versions).sum()),
    }
}

/// Says how long something took, how many models or files it found, and what this process used.
pub(crate) fn timed(measured: impl FnOnce() -> Result<usize>) -> Result<()> {
    let started = Instant::now();
    let found = measured()?;
    say("seconds", started.elapsed().as_secs_f64());
    say("found", found);
    say_usage();
    Ok(())
}
