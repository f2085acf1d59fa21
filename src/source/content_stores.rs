//! Where other tools of this machine keep what registries serve, each file by its SHA-256: nothing there is changed.
//!
//! | tool | folder | name |
//! |---|---|---|
//! | ollama | `$OLLAMA_MODELS` or `~/.ollama/models`, that of its service | `blobs/sha256-<hex>` |
//! | Docker's model runner | `~/.docker/models` | `blobs/sha256/<hex>` |
//! | Kit | `$KITOPS_HOME/storage`, or that in the folder of user data or caches | `blobs/sha256/<hex>` |
//! | podman's artifacts | `containers/storage/artifacts` in the folder of user data, that of root | `blobs/sha256/<hex>` |
//! | containerd, Docker's image store | `io.containerd.content.v1.content` in their folders | `blobs/sha256/<hex>` |
//!
//! Those of services can be read by root as a rule, and are passed over where they cannot.

use std::path::PathBuf;

use crate::digest::Checksum;
use crate::env::Environment;
use crate::platform::System;
use crate::source::places::{Elsewhere, Naming};

/// Where services of Linux keep theirs, below the root: the name of each folder, in order.
const OF_SERVICES: [&[&str]; 3] = [
    &["var", "lib", "containers", "storage", "artifacts"],
    &[
        "var",
        "lib",
        "containerd",
        "io.containerd.content.v1.content",
    ],
    &[
        "var",
        "lib",
        "docker",
        "containerd",
        "daemon",
        "io.containerd.content.v1.content",
    ],
];
const OLLAMA_OF_SERVICE: [&str; 5] = ["usr", "share", "ollama", ".ollama", "models"];

/// Returns the folders of all tools that are known, whether they are there or not.
pub(crate) fn content_stores(env: &Environment) -> Vec<Elsewhere> {
    let is_linux = env.system() == System::Linux;
    let of_service = |names: &[&str]| is_linux.then(|| below("/".into(), names));
    let home = |names: &[&str]| env.in_home(names).ok();
    let ollama = env.path("OLLAMA_MODELS");
    let ollama = [
        ollama.or_else(|| home(&[".ollama", "models"])),
        of_service(&OLLAMA_OF_SERVICE),
    ];
    let kit = env.path("KITOPS_HOME").or_else(|| {
        let folder = match env.system() {
            System::Linux => env.data_dir(),
            System::MacOs | System::Windows => env.cache_dir(),
        };
        Some(folder.ok()?.join("kitops"))
    });
    let podman = env.data_dir().ok().filter(|_| is_linux);
    let layouts = [
        home(&[".docker", "models"]),
        kit.map(|home| home.join("storage")),
        podman.map(|data| below(data, &["containers", "storage", "artifacts"])),
    ];
    let of_services = OF_SERVICES.iter().map(|names| of_service(names));
    let ollama = ollama.into_iter().flatten();
    let layouts = layouts.into_iter().chain(of_services).flatten();
    let ollama = ollama.map(|folder| (folder.join("blobs"), ollama_name as fn(&_) -> _));
    let layouts = layouts.map(|folder| (blobs_of_layout(folder), hex as fn(&_) -> _));
    let all = ollama.chain(layouts);
    all.map(|(folder, name)| Elsewhere {
        folder,
        naming: Naming::ByChecksum(name),
    })
    .collect()
}

/// The blobs of an OCI layout, and of what is laid out alike.
fn blobs_of_layout(folder: PathBuf) -> PathBuf {
    below(folder, &["blobs", "sha256"])
}

fn below(folder: PathBuf, names: &[&str]) -> PathBuf {
    names.iter().fold(folder, |folder, name| folder.join(name))
}

fn hex(sum: &Checksum) -> Option<String> {
    Some(sum.sha256()?.to_string())
}

fn ollama_name(sum: &Checksum) -> Option<String> {
    Some(format!("sha256-{}", sum.sha256()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest::Digest;

    /// Where a file is in each store, with `/` between the components.
    fn places(env: &Environment) -> Vec<String> {
        let sum = Checksum::from(Digest::of(b"x"));
        let stores = content_stores(env).into_iter();
        let places = stores.map(|Elsewhere { folder, naming }| match naming {
            Naming::ByChecksum(name) => folder.join(name(&sum).unwrap()),
            Naming::ByPath => panic!("{folder:?}"),
        });
        let text = |path: PathBuf| path.to_string_lossy().replace('\\', "/");
        let hex = Digest::of(b"x").to_string();
        places
            .map(|path| text(path).replace(&hex, "<hex>"))
            .collect()
    }

    #[test]
    fn each_tool_keeps_its_blobs_where_it_says() {
        let linux = Environment::empty(System::Linux, "/home/a");
        assert_eq!(
            places(&linux),
            [
                "/home/a/.ollama/models/blobs/sha256-<hex>",
                "/usr/share/ollama/.ollama/models/blobs/sha256-<hex>",
                "/home/a/.docker/models/blobs/sha256/<hex>",
                "/home/a/.local/share/kitops/storage/blobs/sha256/<hex>",
                "/home/a/.local/share/containers/storage/artifacts/blobs/sha256/<hex>",
                "/var/lib/containers/storage/artifacts/blobs/sha256/<hex>",
                "/var/lib/containerd/io.containerd.content.v1.content/blobs/sha256/<hex>",
                "/var/lib/docker/containerd/daemon/io.containerd.content.v1.content/blobs/sha256/<hex>",
            ]
        );
        // A folder of that name is absolute on the system of the tests.
        let data = std::env::temp_dir().join("data");
        let moved = linux
            .variable("OLLAMA_MODELS", "~/o")
            .variable("KITOPS_HOME", "/kit")
            .variable("XDG_DATA_HOME", &data);
        let moved = places(&moved);
        let data = data.to_string_lossy().replace('\\', "/");
        for place in [
            "/home/a/o/blobs/sha256-<hex>",
            "/kit/storage/blobs/sha256/<hex>",
            &format!("{data}/containers/storage/artifacts/blobs/sha256/<hex>"),
        ] {
            assert!(moved.iter().any(|it| it == place), "{moved:?}: {place}");
        }
        let mac = Environment::empty(System::MacOs, "/Users/a");
        assert_eq!(
            places(&mac),
            [
                "/Users/a/.ollama/models/blobs/sha256-<hex>",
                "/Users/a/.docker/models/blobs/sha256/<hex>",
                "/Users/a/Library/Caches/kitops/storage/blobs/sha256/<hex>",
            ]
        );
        let sum = Checksum::GitBlob([0; 20].into());
        let names = content_stores(&mac).into_iter();
        let names = names.map(|it| match it.naming {
            Naming::ByChecksum(name) => name(&sum),
            Naming::ByPath => panic!("{it:?}"),
        });
        assert!(names.eq([None, None, None]));
    }
}
