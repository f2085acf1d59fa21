//! What lies in a folder.

use std::collections::BTreeMap;
use std::fs;
use std::io::ErrorKind;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, SystemTime};

use modelrack::config::System;
use tempfile::TempDir;

use crate::support::platform::SYSTEM;

/// Every file below a folder: its path with `/` between the components, and its bytes. Empty for no folder.
pub(crate) fn files_below(dir: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut folders = vec![dir.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).into_iter().flatten() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let name = path.strip_prefix(dir).unwrap().to_str().unwrap();
                found.insert(name.replace('\\', "/"), fs::read(&path).unwrap());
            }
        }
    }
    found
}

/// A folder on another file system than the temporary folders, where there is one.
pub(crate) fn other_disk() -> Option<TempDir> {
    let there = tempfile::tempdir_in("/dev/shm").ok()?;
    let here = tempfile::tempdir().ok()?;
    let moved = fs::rename(here.path(), there.path().join("probe"));
    moved
        .is_err_and(|error| error.kind() == ErrorKind::CrossesDevices)
        .then_some(there)
}

/// The names of what lies directly in a folder, in order.
pub(crate) fn names_in(dir: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(dir)
        .into_iter()
        .flatten()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

/// Writes files below a folder, making the folders above them.
pub(crate) fn write_files(dir: &Path, files: &[(&str, &[u8])]) {
    fs::create_dir_all(dir).unwrap();
    for (name, bytes) in files {
        let path = name
            .split('/')
            .fold(dir.to_owned(), |path, part| path.join(part));
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }
}

/// Inverts one byte of a file.
pub(crate) fn flip(path: &Path, offset: usize) {
    let mut bytes = fs::read(path).unwrap();
    bytes[offset] = !bytes[offset];
    fs::write(path, bytes).unwrap();
}

/// Makes a file look as if it was last written to so many hours ago.
pub(crate) fn age(path: &Path, hours: u64) {
    let file = fs::OpenOptions::new().write(true).open(path).unwrap();
    let time = SystemTime::now() - Duration::from_secs(hours * 3600);
    file.set_modified(time).unwrap();
}

/// Makes a pipe to which nobody writes, or a folder where the system has none: what programs for Windows make in its place is
/// another thing.
#[track_caller]
pub(crate) fn make_pipe(path: &Path) {
    let makes_pipes = SYSTEM != System::Windows;
    let made = makes_pipes.then(|| Command::new("mkfifo").arg(path).status());
    if !made.is_some_and(|made| made.is_ok_and(|status| status.success())) {
        fs::create_dir(path).unwrap();
    }
}
