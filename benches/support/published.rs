//! What the benchmarks of pulls are about: random bytes, published in chunks, and what the bare loop requests of them.

use std::fs::{self, File};
use std::io::{Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use fastrand::Rng;
use modelrack::project::{Chunking, Project, PublishOptions};
use modelrack::{Digest, Manifest, ModelRef};
use serde_json::{Value, json};

use crate::bare;
use crate::support::{Result, mebibytes};

pub(crate) const MIB: u64 = 1 << 20;
pub(crate) const MODEL: &str = "bench/model";

/// Writes bytes that do not compress, and syncs them so that nothing is left to write while something is timed.
pub(crate) fn write_random(path: &Path, size: u64, seed: u64) -> Result<()> {
    let mut random = Rng::with_seed(seed);
    let mut file = File::create(path)?;
    let mut buffer = vec![0; usize::try_from(MIB)?];
    let mut left = size;
    while left > 0 {
        let length = usize::try_from(left.min(MIB))?;
        random.fill(&mut buffer[..length]);
        file.write_all(&buffer[..length])?;
        left -= length as u64;
    }
    Ok(file.sync_all()?)
}

/// Gives a stretch of a file other bytes.
pub(crate) fn change(path: &Path, begin: u64, length: u64) -> Result<()> {
    let mut bytes = vec![0; usize::try_from(length)?];
    Rng::with_seed(99).fill(&mut bytes);
    let mut file = File::options().write(true).open(path)?;
    file.seek(SeekFrom::Start(begin))?;
    file.write_all(&bytes)?;
    Ok(file.sync_all()?)
}

/// Fails if a folder has less room than this.
pub(crate) fn need_room(folder: &Path, bytes: u64) -> Result<()> {
    let free = fs4::available_space(folder)?;
    if free < bytes {
        let (free, bytes) = (mebibytes(free as f64), mebibytes(bytes as f64));
        return Err(format!(
            "{} has {free} left, and {bytes} are needed: choose another with --dir",
            folder.display()
        )
        .into());
    }
    Ok(())
}

/// Publishes a file or folder as a version of the model.
pub(crate) fn publish_as(
    data: &Path,
    registry: &Path,
    version: &str,
    chunk_bytes: u64,
) -> Result<()> {
    let name = MODEL.parse::<modelrack::ModelName>()?;
    let model: ModelRef = name.version(version)?;
    // The bare loops beside a pull know how long a chunk is.
    let options = PublishOptions::default()
        .chunk_bytes(chunk_bytes)
        .chunking(Chunking::Fixed);
    Project::publish_files(&[data.to_owned()], &model, registry, &options)?;
    Ok(())
}

/// Enters a version with the files of another, less their digests: the plain form of a manifest.
pub(crate) fn without_file_digests(registry: &Path, from: &str, to: &str) -> Result<()> {
    let mut manifest: Value = serde_json::from_slice(&fs::read(manifest_path(registry, from)?)?)?;
    for file in manifest["files"].as_array_mut().into_iter().flatten() {
        file.as_object_mut()
            .ok_or("a file is no object")?
            .remove("sha256");
    }
    enter(registry, to, &manifest)
}

/// Writes a registry of many small files by hand, a chunk each, with the sizes of the chunks.
pub(crate) fn small_files(registry: &Path, version: &str, count: u32, size: u64) -> Result<()> {
    let data = registry.join("data");
    fs::create_dir_all(&data)?;
    fs::write(registry.join("models.json"), "{}")?;
    let mut random = Rng::with_seed(4);
    let mut bytes = vec![0; usize::try_from(size)?];
    let (mut chunks, mut files) = (Vec::new(), Vec::new());
    for number in 0..count {
        random.fill(&mut bytes);
        let digest = Digest::of(&bytes).to_string();
        fs::write(data.join(&digest), &bytes)?;
        chunks.push(digest);
        files.push(json!({"path": format!("{:02}/{number:04}.bin", number / 100), "size": size}));
    }
    let manifest = json!({
        "total_size": size * u64::from(count),
        "chunk_size": size,
        "chunk_sizes": vec![size; chunks.len()],
        "chunks": chunks,
        "files": files,
    });
    enter(registry, version, &manifest)
}

/// Writes a manifest and enters it in the index.
fn enter(registry: &Path, version: &str, manifest: &Value) -> Result<()> {
    let text = serde_json::to_vec(manifest)?;
    let digest = Digest::of(&text).to_string();
    fs::write(registry.join("data").join(&digest), text)?;
    let index_path = registry.join("models.json");
    let mut index: Value = serde_json::from_slice(&fs::read(&index_path)?)?;
    let (group, model) = MODEL.split_once('/').ok_or("no group")?;
    index[group][model][version] = json!({"hash": digest});
    Ok(fs::write(index_path, serde_json::to_vec(&index)?)?)
}

fn manifest_path(registry: &Path, version: &str) -> Result<PathBuf> {
    let index: Value = serde_json::from_slice(&fs::read(registry.join("models.json"))?)?;
    let (group, model) = MODEL.split_once('/').ok_or("no group")?;
    let digest = index[group][model][version]["hash"].as_str();
    Ok(registry.join("data").join(digest.ok_or("no such version")?))
}

fn manifest(registry: &Path, version: &str) -> Result<Manifest> {
    let path = manifest_path(registry, version)?;
    Ok(Manifest::parse(fs::read(&path)?, path.display())?)
}

/// The digest of the one file of a version.
pub(crate) fn file_digest(registry: &Path, version: &str) -> Result<String> {
    let manifest = manifest(registry, version)?;
    let [file] = manifest.files() else {
        return Err("more than one file".into());
    };
    Ok(file.digest.ok_or("a file without a digest")?.to_string())
}

/// What the bare loop asks for: each chunk whole.
pub(crate) fn chunk_jobs(registry: &Path, version: &str) -> Result<Vec<bare::Job>> {
    let manifest = manifest(registry, version)?;
    let mut offset = 0;
    let mut jobs = Vec::new();
    for part in manifest.parts() {
        jobs.push(bare::Job {
            digest: part.digest.ok_or("a chunk without a digest")?.to_string(),
            offset,
            size: part.size_bytes,
            begin: None,
        });
        offset += part.size_bytes;
    }
    Ok(jobs)
}

/// What the bare loop asks for: the one chunk in ranges.
pub(crate) fn range_jobs(registry: &Path, version: &str, range: u64) -> Result<Vec<bare::Job>> {
    let manifest = manifest(registry, version)?;
    let [part] = manifest.parts() else {
        return Err("more than one chunk".into());
    };
    let digest = part.digest.ok_or("a chunk without a digest")?.to_string();
    let count = part.size_bytes.div_ceil(range);
    Ok((0..count)
        .map(|index| bare::Job {
            digest: digest.clone(),
            offset: index * range,
            size: range.min(part.size_bytes - index * range),
            begin: Some(index * range),
        })
        .collect())
}
