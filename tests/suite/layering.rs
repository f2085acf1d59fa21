//! The picture of the modules, held against the code.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// The layer of each module; those not named are shared words, the lowest.
const LAYERS: [(&str, u8); 7] = [
    ("cli", 6),
    ("manager", 5),
    ("engine", 4),
    ("project", 4),
    ("source", 3),
    ("store", 3),
    ("http", 2),
];

fn layer(module: &str) -> u8 {
    let found = LAYERS.iter().find(|(name, _)| *name == module);
    found.map_or(1, |(_, layer)| *layer)
}

/// Every file of the crate: its path below `src/` with `/` between the components, and its text.
fn sources() -> BTreeMap<String, String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = BTreeMap::new();
    let mut folders: Vec<PathBuf> = vec![root.clone()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let name = path.strip_prefix(&root).unwrap().to_str().unwrap();
                found.insert(name.replace('\\', "/"), fs::read_to_string(&path).unwrap());
            }
        }
    }
    assert!(found.contains_key("lib.rs"));
    found
}

/// The lines of code, numbered from 1: without comments, and without the tests at a file's end.
fn code(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let lines = text
        .lines()
        .enumerate()
        .map(|(index, line)| (index + 1, line));
    lines
        .take_while(|(_, line)| line.trim() != "#[cfg(test)]")
        .filter(|(_, line)| !line.trim_start().starts_with("//"))
}

/// Every place where `pattern` stands in code, but in files for which `allowed` holds.
fn places(pattern: &str, allowed: impl Fn(&str) -> bool) -> Vec<String> {
    let mut places = Vec::new();
    for (name, text) in sources().iter().filter(|(name, _)| !allowed(name)) {
        let hits = code(text).filter(|(_, line)| line.contains(pattern));
        places.extend(hits.map(|(number, line)| format!("src/{name}:{number}: {}", line.trim())));
    }
    places
}

#[test]
fn a_module_imports_from_layers_below_its_own_only() {
    let mut upward = Vec::new();
    for (name, text) in &sources() {
        let own = name.split('/').next().unwrap().trim_end_matches(".rs");
        if own == "lib" {
            continue;
        }
        for (number, line) in code(text) {
            for path in line.split("crate::").skip(1) {
                let other: String = path
                    .chars()
                    .take_while(|c| c.is_alphanumeric() || *c == '_')
                    .collect();
                // What a module of the lowest layer names of the crate's face, as `crate::Error`, is its own layer's.
                let is_module = other.starts_with(|c: char| c.is_lowercase());
                let allowed = other == own
                    || layer(&other) < layer(own)
                    || (layer(own) == 1 && layer(&other) == 1);
                if is_module && !allowed {
                    upward.push(format!("src/{name}:{number}: {}", line.trim()));
                }
            }
        }
    }
    assert!(upward.is_empty(), "{}", upward.join("\n"));
}

#[test]
fn only_the_platform_folder_asks_which_system_this_is() {
    let is_platform = |name: &str| name.starts_with("platform/");
    for pattern in [
        "cfg(unix",
        "cfg(windows",
        "cfg(not(unix",
        "cfg(not(windows",
        "cfg!(",
        "target_os",
        "target_vendor",
        "std::os::",
    ] {
        let places = places(pattern, is_platform);
        assert!(places.is_empty(), "{}", places.join("\n"));
    }
}

#[test]
fn only_one_file_reads_the_environment() {
    for pattern in ["std::env", "env::var", "env::args"] {
        let places = places(pattern, |name| name == "env.rs");
        assert!(places.is_empty(), "{}", places.join("\n"));
    }
}

#[test]
fn the_library_does_not_exit() {
    let places = places("process::exit", |_| false);
    assert!(places.is_empty(), "{}", places.join("\n"));
}
