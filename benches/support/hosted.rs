//! What the benchmarks of repositories are about: small files, a release with a zip, models, a large registry.
#![allow(dead_code, reason = "each benchmark uses its own part")]

use std::fs;
use std::io::Cursor;
use std::path::Path;

use fastrand::Rng;
use modelrack::Digest;
use zip::ZipArchive;

use crate::forge::{Forge, zip};
use crate::models::{ModelsToml, NamedFile};
use crate::support::Result;

pub(crate) const REPO: &str = "bench/models";
/// A branch, or the tag of a release.
pub(crate) const REFERENCE: &str = "current";
/// Where the registry is that lists the files of a branch.
const REGISTRY: &str = ".registry/models.toml";
/// The most that may have to be read to find a zip's directory: its last record has a comment of any length.
const END_BYTES: u64 = 66 << 10;
/// The most that stands in front of a member here: a fixed part and the name.
const HEADER_BYTES: u64 = 64;

/// Commits files and the registry that lists them.
pub(crate) fn host(forge: &Forge, registry: &ModelsToml, files: &[NamedFile]) {
    let mut tree = files.to_vec();
    tree.push((REGISTRY.to_owned(), registry.clone().into()));
    forge.repo(REPO).commit(REFERENCE, tree);
}

/// Commits a registry, whatever it is.
pub(crate) fn host_text(forge: &Forge, registry: String) {
    let tree = vec![(REGISTRY.to_owned(), registry.into_bytes())];
    forge.repo(REPO).commit(REFERENCE, tree);
}

/// As many entries as fit into a text of so many bytes.
pub(crate) fn registry_of(head: &str, entry: fn(usize) -> String, bytes: usize) -> String {
    let mut text = head.to_owned();
    for number in 0.. {
        let entry = entry(number);
        if text.len() + entry.len() > bytes {
            break;
        }
        text.push_str(&entry);
    }
    text
}

/// Files of 1 KiB that do not compress, named as the bare loop asks for them.
pub(crate) fn small_files(count: usize) -> Vec<NamedFile> {
    let mut random = Rng::with_seed(4);
    let mut file = || {
        let mut bytes = vec![0; 1024];
        random.fill(&mut bytes);
        (format!("data/{}", Digest::of(&bytes)), bytes)
    };
    (0..count).map(|_| file()).collect()
}

/// Registries of files that are one model, as most are and as those that leave sizes out.
pub(crate) fn of_one_model(files: &[NamedFile]) -> [(&'static str, ModelsToml); 2] {
    let names: Vec<&str> = files.iter().map(|(name, _)| name.as_str()).collect();
    let mut registry = ModelsToml::new().model("all", &names);
    for (name, bytes) in files {
        registry = registry.file(name, bytes);
    }
    let without_sizes = registry.clone().without_sizes();
    [
        ("sizes stated", registry),
        ("sizes left out", without_sizes),
    ]
}

/// A release's zip: how many bytes it has, and how many come over the network at most for what is in it.
pub(crate) struct Release {
    pub(crate) zip_bytes: u64,
    /// For `model-002`: its members, and the directory.
    pub(crate) one_bytes: u64,
    pub(crate) all_bytes: u64,
}

/// Publishes a zip of models of ten files each, of which five do not compress and five do.
pub(crate) fn release(forge: &Forge, models: usize) -> Result<Release> {
    let mut random = Rng::with_seed(5);
    let mut files: Vec<NamedFile> = Vec::new();
    for model in 0..models {
        for file in 0..5 {
            let mut bytes = vec![0; 160 << 10];
            random.fill(&mut bytes);
            files.push((format!("model-{model:03}/{file}.bin"), bytes));
            let numbers = (0..20_000).map(|_| format!("{}\n", random.u16(..)));
            let name = if file == 0 {
                "mfsim.nam".to_owned()
            } else {
                format!("{file}.txt")
            };
            files.push((
                format!("model-{model:03}/{name}"),
                numbers.collect::<String>().into(),
            ));
        }
    }
    let registry = ModelsToml::of(&files).asset("models.zip");
    let zip = zip(&files);
    let mut archive = ZipArchive::new(Cursor::new(zip.as_slice()))?;
    let zip_bytes = zip.len() as u64;
    let mut one_bytes = zip_bytes - archive.central_directory_start() + END_BYTES;
    for index in 0..archive.len() {
        let member = archive.by_index_raw(index)?;
        if member.name()?.starts_with("model-002/") {
            one_bytes += member.compressed_size() + HEADER_BYTES;
        }
    }
    forge.repo(REPO).release(
        REFERENCE,
        [("models.toml", registry.into()), ("models.zip", zip)],
    );
    Ok(Release {
        zip_bytes,
        one_bytes,
        all_bytes: zip_bytes + END_BYTES,
    })
}

/// Publishes the files of [`large_registry`] in a zip; returns its size in bytes.
pub(crate) fn release_of_many(forge: &Forge, models: usize) -> u64 {
    let names = (0..models).flat_map(|model| {
        let path = model_path(model);
        (0..10).map(move |file| format!("{path}/file-{file}.dat"))
    });
    let files: Vec<NamedFile> = names.map(|name| (name.clone(), name.into())).collect();
    let registry = large_registry(models).asset("models.zip");
    let zip = zip(&files);
    let zip_bytes = zip.len() as u64;
    forge.repo(REPO).release(
        REFERENCE,
        [("models.toml", registry.into()), ("models.zip", zip)],
    );
    zip_bytes
}

/// Models of small files, in place of real ones.
pub(crate) fn made_models(models: usize, files: usize) -> Vec<NamedFile> {
    let mut random = Rng::with_seed(6);
    let names = (0..models).flat_map(|model| {
        (0..files).map(move |file| match file {
            0 => format!("model-{model:03}/mfsim.nam"),
            _ => format!("model-{model:03}/{file}.txt"),
        })
    });
    let mut text = || {
        (0..700)
            .map(|_| format!("{}\n", random.u16(..)))
            .collect::<String>()
    };
    names.map(|name| (name, text().into())).collect()
}

/// A registry of models of ten files each.
pub(crate) fn large_registry(models: usize) -> ModelsToml {
    let mut registry = ModelsToml::new();
    for model in 0..models {
        let path = model_path(model);
        let files: Vec<String> = (0..10)
            .map(|file| format!("{path}/file-{file}.dat"))
            .collect();
        let names: Vec<&str> = files.iter().map(String::as_str).collect();
        for name in &names {
            registry = registry.file(name, name.as_bytes());
        }
        registry = registry.model(&path, &names);
    }
    registry
}

pub(crate) fn model_path(model: usize) -> String {
    format!("group-{:02}/model-{model:05}", model % 20)
}

/// Writes models of fifteen files, most of them small, into a folder; returns how many bytes those are.
pub(crate) fn write_models(folder: &Path, models: usize) -> Result<u64> {
    let mut random = Rng::with_seed(7);
    let mut total = 0;
    for model in 0..models {
        let folder = folder.join(format!("model-{model:03}"));
        fs::create_dir_all(&folder)?;
        for file in 0..15 {
            let (name, size) = match file {
                0 => ("mfsim.nam".to_owned(), 4200),
                14 => ("grid.disv".to_owned(), 160 << 10),
                _ => (format!("{file}.txt"), 4200),
            };
            let mut bytes = vec![0; size];
            random.fill(&mut bytes);
            fs::write(folder.join(name), &bytes)?;
            total += size as u64;
        }
    }
    Ok(total)
}
