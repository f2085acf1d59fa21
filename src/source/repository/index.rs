//! What a sync learned, in a form that reads fast.
//!
//! A `models.toml` of 100,000 files takes half a second to read; who lists or looks up a model needs little of it. So a
//! sync writes, beside the registry as it was served, one file of lines:
//!
//! ```text
//! {"format":1,"reference":"develop","name":"mf6/test","repo":"o/n","commit":"…",…,"models":1,"files":6,"at":201,…}
//! {"models":[["test001a","<sha256>","mf6/test001a",1620,390,6,2048]],"examples":{},"about":{}}
//! {"total_size":2048,"files":[…]}
//! ```
//!
//! The first line says what the registry is of, where the third begins, and the digest of all that follows. The second has
//! for each model its name without the source's, the digest of its manifest, its folder, where in the rest its manifest is
//! and how long it is, and its files and bytes; and for some what is said of them. From there on come the manifests.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::catalog::{ListingPlace, Metadata, PinState, RemoteMetadata};
use crate::digest::{Digest, Hasher};
use crate::error::{BoxError, Error, ErrorKind, IoContext, Result};
use crate::http::Validators;
use crate::manifest::Manifest;
use crate::modelstoml::Registry;
use crate::source::cache::RegistryCache;
use crate::source::warn_left_out;

const FORMAT: u32 = 1;

/// What a cached registry is of.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Head {
    format: u32,
    #[serde(flatten)]
    pub(crate) origin: Origin,
    pub(crate) models: usize,
    /// How many files it lists.
    pub(crate) files: usize,
    /// Where the second line ends.
    at: u64,
    /// Of all that follows the first line.
    digest: Digest,
}

/// Where a registry came from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Origin {
    pub(crate) reference: String,
    /// The source's name when it was synced, which names of models were read without.
    pub(crate) name: String,
    pub(crate) server: String,
    pub(crate) repo: String,
    /// The commit, or the release and its zip.
    #[serde(flatten)]
    pub(crate) state: PinState,
    /// Tells this state of the repository from another.
    pub(crate) revision: String,
    /// The validators that it was served with.
    #[serde(flatten)]
    pub(crate) validators: Validators,
    /// The folder that the configuration says it is in, where it is under version control.
    pub(crate) registry_path: String,
    /// The zip that the configuration says, where the registry does not.
    #[serde(default)]
    pub(crate) asset: Option<String>,
    /// Whether a repository was asked for that the configuration does not name, or not here.
    #[serde(default)]
    pub(crate) fork: bool,
}

/// One model of a cached registry.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Row {
    /// Without the source's name in front.
    pub(crate) path: String,
    pub(crate) digest: Digest,
    /// The folder in the repository or zip that its files are relative to.
    pub(crate) root: String,
    pub(crate) files: u64,
    /// `None` when a size is not stated.
    pub(crate) bytes: Option<u64>,
    pub(crate) place: ListingPlace,
    /// What the registry says of it beyond its files.
    pub(crate) about: RemoteMetadata,
}

type RowWire<N, R> = (N, Digest, R, u64, u64, u64, Option<u64>);

#[derive(Serialize)]
struct BodyWrite<'a> {
    models: &'a [RowWire<&'a str, String>],
    examples: &'a BTreeMap<&'a str, Vec<&'a str>>,
    about: &'a BTreeMap<&'a str, &'a Metadata>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    left_out: &'a BTreeMap<String, String>,
}

/// A cached registry.
#[derive(Debug)]
pub(crate) struct Cached {
    pub(crate) head: Head,
    file: BufReader<File>,
    path: PathBuf,
    body_at: u64,
}

impl Cached {
    /// Opens what is cached; `None` when nothing is, or another version of this crate wrote it.
    pub(crate) fn open(cache: &RegistryCache) -> Result<Option<Self>> {
        match cache.open_index()? {
            Some(file) => Self::read_head(file, &cache.index_path()),
            None => Ok(None),
        }
    }

    fn read_head(file: File, path: &Path) -> Result<Option<Self>> {
        let mut file = BufReader::with_capacity(64 << 10, file);
        let mut line = Vec::new();
        let length = (&mut file)
            .take(64 << 10)
            .read_until(b'\n', &mut line)
            .at("read", path)?;
        let head: Option<Head> = serde_json::from_slice(&line).ok();
        Ok(head.filter(|head| head.format == FORMAT).map(|head| Self {
            head,
            file,
            path: path.to_owned(),
            body_at: length as u64,
        }))
    }

    /// Whether all that follows the first line is as it was written.
    pub(crate) fn is_whole(&mut self) -> Result<bool> {
        let mut hasher = Hasher::default();
        self.file
            .seek(SeekFrom::Start(self.body_at))
            .at("read", &self.path)?;
        loop {
            let piece = self.file.fill_buf().at("read", &self.path)?;
            if piece.is_empty() {
                return Ok(hasher.finish() == self.head.digest);
            }
            hasher.update(piece);
            let length = piece.len();
            self.file.consume(length);
        }
    }

    fn body(&mut self) -> Result<Vec<u8>> {
        self.read(self.body_at, self.head.at.saturating_sub(self.body_at))
    }

    /// Reads so many bytes, fewer where the file ends before.
    fn read(&mut self, at: u64, length: u64) -> Result<Vec<u8>> {
        let mut bytes = Vec::new();
        self.file
            .seek(SeekFrom::Start(at))
            .and_then(|_| (&mut self.file).take(length).read_to_end(&mut bytes))
            .at("read", &self.path)?;
        Ok(bytes)
    }

    fn damaged(&self, source: Option<BoxError>) -> Error {
        let path = self.path.clone();
        ErrorKind::DamagedCache { path, source }.into()
    }

    /// All models, in the order of names.
    pub(crate) fn models(&mut self) -> Result<Vec<Row>> {
        #[derive(Deserialize)]
        struct Body<'a> {
            #[serde(borrow)]
            models: Vec<RowWire<Cow<'a, str>, Cow<'a, str>>>,
            #[serde(rename = "examples")]
            _examples: IgnoredAny,
            #[serde(default)]
            about: HashMap<String, Box<RawValue>>,
        }
        let json = self.body()?;
        let mut body: Body<'_> =
            serde_json::from_slice(&json).map_err(|error| self.damaged(Some(error.into())))?;
        let entries = body.models.into_iter();
        Ok(entries
            .map(|(path, digest, root, at, length, files, bytes)| Row {
                about: body
                    .about
                    .remove(&*path)
                    .and_then(RemoteMetadata::of_json)
                    .unwrap_or_default(),
                path: path.into_owned(),
                digest,
                root: root.into_owned(),
                files,
                bytes,
                place: ListingPlace { at, length },
            })
            .collect())
    }

    /// Example → models, both without the source's name.
    pub(crate) fn examples(&mut self) -> Result<BTreeMap<String, Vec<String>>> {
        Ok(self.others()?.examples)
    }

    /// The models that cannot be offered, without the source's name, and why.
    pub(crate) fn left_out(&mut self) -> Result<BTreeMap<String, String>> {
        Ok(self.others()?.left_out)
    }

    fn others(&mut self) -> Result<Others> {
        let json = self.body()?;
        serde_json::from_slice(&json).map_err(|error| self.damaged(Some(error.into())))
    }

    /// The files of a model, whose digest tells that the place is right.
    pub(crate) fn manifest(&mut self, place: &ListingPlace, digest: Digest) -> Result<Manifest> {
        let at = self.head.at.checked_add(place.at);
        let json = self.read(at.ok_or_else(|| self.damaged(None))?, place.length)?;
        if Digest::of(&json) != digest {
            return Err(self.damaged(None));
        }
        Manifest::parse_listing(json, self.path.display())
    }
}

/// What a cached registry has beside its models.
#[derive(Deserialize)]
struct Others {
    examples: BTreeMap<String, Vec<String>>,
    #[serde(default)]
    left_out: BTreeMap<String, String>,
}

/// Checks everything that a registry says, and writes it in the form that reads fast; what cannot be offered is said.
/// `location` names the registry in errors.
///
/// # Errors
/// [`ErrorKind::Registry`] when it has models of which none can be offered; whatever `out` fails with.
pub(crate) fn write(
    registry: &Registry,
    origin: &Origin,
    location: &str,
    out: &mut dyn FnMut(&[u8]) -> Result<()>,
) -> Result<Head> {
    let source = origin.name.as_str();
    let (mut rows, mut listings, mut about) = (Vec::new(), Vec::new(), BTreeMap::new());
    let (mut left_out, mut faults) = (BTreeMap::new(), Vec::new());
    registry.each_model(source, |model| {
        let listed = model.and_then(|model| Ok((model.listing(&origin.revision)?, model)));
        let ((json, bytes), model) = match listed {
            Ok(listed) => listed,
            Err(fault) => {
                faults.push(fault.to_string());
                left_out.insert(fault.name, fault.reason);
                return Ok(());
            }
        };
        faults.extend(model.fault().map(|fault| fault.to_string()));
        let (at, length) = (listings.len() as u64, json.len() as u64);
        let (digest, count) = (Digest::of(&json), model.files.len() as u64);
        listings.extend(json);
        listings.push(b'\n');
        about.extend(registry.metadata(&model).map(|about| (model.name, about)));
        rows.push((model.name, digest, model.root, at, length, count, bytes));
        Ok(())
    })?;
    faults.extend(registry.faults_of_examples());
    match faults.first() {
        Some(fault) if rows.is_empty() => return Err(Error::registry(location, fault)),
        _ => warn_left_out(location, &faults),
    }
    rows.sort_unstable_by_key(|row| row.0);
    let mut examples = registry.examples(source);
    for models in examples.values_mut() {
        models.retain(|model| !left_out.contains_key(*model));
    }
    let json = |error: serde_json::Error| Error::internal(error.to_string());
    let mut body = serde_json::to_vec(&BodyWrite {
        models: &rows,
        examples: &examples,
        about: &about,
        left_out: &left_out,
    })
    .map_err(json)?;
    body.push(b'\n');
    let mut hasher = Hasher::default();
    hasher.update(&body);
    hasher.update(&listings);
    let mut head = Head {
        format: FORMAT,
        origin: origin.clone(),
        models: rows.len(),
        files: registry.file_count(),
        at: 0,
        digest: hasher.finish(),
    };
    // The number that says where the second line ends is part of what comes before it.
    let mut line = Vec::new();
    while head.at != (line.len() + body.len()) as u64 {
        head.at = (line.len() + body.len()) as u64;
        line = serde_json::to_vec(&head).map_err(json)?;
        line.push(b'\n');
    }
    for piece in [&line, &body, &listings] {
        out(piece)?;
    }
    Ok(head)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn origin() -> Origin {
        Origin {
            reference: "develop".into(),
            name: "mf6/test".into(),
            server: "https://github.com/".into(),
            repo: "o/n".into(),
            state: PinState::Commit("c0ffee".into()),
            revision: "c0ffee".into(),
            validators: Validators::default(),
            registry_path: ".registry".into(),
            asset: None,
            fork: false,
        }
    }

    fn written(toml: &str) -> Result<(tempfile::NamedTempFile, Head)> {
        let registry = Registry::parse(toml, "develop", &"here")?;
        let mut file = tempfile::NamedTempFile::new().unwrap();
        let head = write(&registry, &origin(), "here", &mut |bytes| {
            std::io::Write::write_all(file.as_file_mut(), bytes).unwrap();
            Ok(())
        })?;
        Ok((file, head))
    }

    #[test]
    fn what_was_written_is_read() {
        let (file, head) = written(
            "root = \"mf6\"\n[files]\n\"b/mfsim.nam\" = { size = 3, hash = \"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\" }\n\"b/in/x\" = { size = 4 }\n\"a/only\" = {}\n[models]\n\"mf6/test/deep/b\" = [\"b/mfsim.nam\", \"b/in/x\", \"b/in/x\"]\na = [\"a/only\"]\n[examples]\n\"mf6/test/e\" = [\"mf6/test/deep/b\", \"a\"]\n\
             [entries.\"mf6/test/deep/b\"]\ntype = \"flow\"\n[entries.gone]\ntype = \"other\"\n",
        )
        .unwrap();
        let mut cached = Cached::read_head(file.reopen().unwrap(), file.path())
            .unwrap()
            .unwrap();
        assert_eq!(cached.head, head);
        assert_eq!((head.models, head.files), (2, 3));
        let models = cached.models().unwrap();
        let shown: Vec<_> = models
            .iter()
            .map(|m| (m.path.as_str(), m.root.as_str(), m.files, m.bytes))
            .collect();
        assert_eq!(
            shown,
            [("a", "mf6/a", 1, None), ("deep/b", "mf6/b", 2, Some(7))]
        );
        let told: Vec<_> = models.iter().map(|model| model.about.json()).collect();
        assert_eq!(told, ["{}", r#"{"type":"flow"}"#]);
        for entry in &models {
            let manifest = cached.manifest(&entry.place, entry.digest).unwrap();
            assert_eq!(manifest.digest(), entry.digest);
        }
        let paths: Vec<_> = cached
            .manifest(&models[1].place, models[1].digest)
            .unwrap()
            .files()
            .iter()
            .map(|f| f.path.to_string())
            .collect();
        assert_eq!(paths, ["in/x", "mfsim.nam"]);
        assert_eq!(cached.examples().unwrap()["e"], ["deep/b", "a"]);
    }

    #[test]
    fn damage_shows() {
        let toml = "[files]\nx = { size = 3 }\n[models]\na = [\"x\"]\n";
        let (file, head) = written(toml).unwrap();
        let bytes = std::fs::read(file.path()).unwrap();
        let body_at = bytes.iter().position(|byte| *byte == b'\n').unwrap() + 1;
        let open = |bytes: &[u8]| {
            std::fs::write(file.path(), bytes).unwrap();
            Cached::read_head(file.reopen().unwrap(), file.path()).unwrap()
        };
        for at in 0..bytes.len() {
            for damaged in [bytes[..at].to_vec(), {
                let mut flipped = bytes.clone();
                flipped[at] ^= 0x80;
                flipped
            }] {
                let Some(mut cached) = open(&damaged) else {
                    assert!(at < body_at);
                    continue;
                };
                assert_eq!(cached.head, head, "{at}");
                assert!(!cached.is_whole().unwrap(), "{at}");
                // The line end behind the last manifest is nobody's.
                if let Ok(models) = cached.models() {
                    assert!(
                        cached.manifest(&models[0].place, models[0].digest).is_err()
                            || at == bytes.len() - 1
                    );
                }
            }
        }
        assert!(open(&bytes).unwrap().is_whole().unwrap());
        let other = String::from_utf8(bytes)
            .unwrap()
            .replace("\"format\":1", "\"format\":2");
        assert!(open(other.as_bytes()).is_none());
    }

    #[test]
    fn hostile_names_are_refused() {
        for toml in [
            "[models]\n\"../x\" = []\n",
            "[models]\n\"a\" = [\"../x\"]\n",
            "[models]\n\"a\" = [\"C:/x\"]\n",
            "[models]\n\"a\" = [\"x\\\\y\"]\n",
            "[models]\n\"a\" = [\"con\"]\n",
            "[models]\n\"a\" = []\n\"A\" = []\n",
            "[models]\n\"a\" = []\n\"mf6/test/a\" = []\n",
            "[models]\n\"a@b\" = []\n",
            "[files]\nx = { size = 9223372036854775807 }\ny = { size = 9223372036854775807 }\nz = { size = 9 }\n[models]\na = [\"x\", \"y\", \"z\"]\n",
        ] {
            let error = written(toml).unwrap_err();
            assert_eq!(error.code(), "REGISTRY_ERROR", "{toml}");
        }
    }
}
