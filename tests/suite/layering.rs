//! The picture of the modules, held against the code.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

/// The layer of each module; those not named are shared words, the lowest.
const LAYERS: [(&str, u8); 16] = [
    ("cli", 7),
    ("manager", 6),
    ("remote", 6),
    ("installed", 6),
    ("pull", 6),
    ("lock", 6),
    ("mirror", 6),
    ("transport", 6),
    ("engine", 5),
    ("project", 5),
    ("publish", 4),
    ("source", 3),
    ("modelstoml", 2),
    ("store", 3),
    ("http", 2),
    ("disk", 2),
];

fn layer(module: &str) -> u8 {
    let found = LAYERS.iter().find(|(name, _)| *name == module);
    found.map_or(1, |(_, layer)| *layer)
}

/// Every file of the crate: its path below `src/` with `/` between the components, and its text.
pub(crate) fn sources() -> BTreeMap<String, String> {
    let root = crate::support::root().join("src");
    let mut found = BTreeMap::new();
    let mut folders: Vec<PathBuf> = vec![root.clone()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            // Tests that a module keeps in a file or folder of their own.
            if path.file_stem().is_some_and(|stem| stem == "tests") {
                continue;
            }
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
        .take_while(|(_, line)| !line.starts_with("mod tests {"))
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

/// The modules that a path names behind `crate::`: one, or several in braces. What begins with a capital is no module.
fn modules(path: &str) -> Vec<&str> {
    let names = match path.strip_prefix('{') {
        Some(group) => group.trim_end_matches([';', '}', ' ']).split(',').collect(),
        None => vec![path],
    };
    let names = names.into_iter().map(|name| {
        let name = name.trim();
        let end = name.find(|c: char| !c.is_alphanumeric() && c != '_');
        &name[..end.unwrap_or(name.len())]
    });
    names
        .filter(|name| name.starts_with(|c: char| c.is_lowercase()))
        .collect()
}

#[test]
fn imports_are_read_as_they_are_written() {
    assert_eq!(modules("engine::pull::PullOptions;"), ["engine"]);
    assert_eq!(
        modules("{Config, engine::Engine, http};"),
        ["engine", "http"]
    );
    assert_eq!(modules("Error) -> bool"), Vec::<&str>::new());
    assert!(layer("store") < layer("engine") && layer("engine") < layer("cli"));
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
            for other in line.split("crate::").skip(1).flat_map(modules) {
                // What the lowest layer names of itself is its own; the lowest layer is one.
                let allowed = other == own
                    || layer(other) < layer(own)
                    || (layer(own) == 1 && layer(other) == 1);
                if !allowed {
                    upward.push(format!("src/{name}:{number}: {}", line.trim()));
                }
            }
        }
    }
    assert!(upward.is_empty(), "{}", upward.join("\n"));
}

/// What tells one kind of source from another: the names of kinds, and the modules below `source/` that are of one.
const KINDS: [&str; 6] = [
    "chunked",
    "repository",
    "hub",
    "oci",
    "SourceKind",
    "RegistryMode",
];

#[test]
fn the_engine_and_the_manager_name_no_kind_of_source() {
    let mut named = Vec::new();
    for (name, text) in &sources() {
        if !(name.starts_with("engine/") || name.starts_with("manager/")) {
            continue;
        }
        for (number, line) in code(text) {
            let mut words = line.split(|c: char| !c.is_alphanumeric() && c != '_');
            let names_kind = |word: &str| {
                let word = word.to_lowercase();
                let mut parts = word.split('_');
                parts.any(|part| KINDS.iter().any(|kind| kind.to_lowercase() == part))
            };
            if words.any(names_kind) {
                named.push(format!("src/{name}:{number}: {}", line.trim()));
            }
        }
    }
    assert!(named.is_empty(), "{}", named.join("\n"));
}

#[test]
fn only_the_platform_folder_asks_which_system_this_is() {
    let is_platform = |name: &str| name.starts_with("platform/");
    for pattern in [
        "cfg(unix",
        "cfg(windows",
        "cfg(not(unix",
        "cfg(not(windows",
        "cfg!(unix",
        "cfg!(windows",
        "cfg!(not(unix",
        "cfg!(not(windows",
        "cfg!(target",
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
