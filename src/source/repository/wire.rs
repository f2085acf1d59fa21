//! `models.toml`: what a repository publishes about its models.
//!
//! ```toml
//! schema_version = "1.0"
//! root = "mf6"                 # optional: the folder in the repository or zip that file names are relative to
//! asset = "mf6examples.zip"    # optional: the zip of a release that holds the files
//! [files]
//! "ex-gwf-twri01/mfsim.nam" = { hash = "sha256:…", size = 812 }
//! [models]
//! "ex-gwf-twri01" = ["ex-gwf-twri01/mfsim.nam"]
//! [examples]
//! "ex-gwf-twri" = ["ex-gwf-twri01"]
//! ```
//!
//! A project that registers its models has more tables. Of those only what `[entries]` tells about a model is read.
//!
//! Registries in the wild leave sizes and hashes out, write hashes without their algorithm, put the source's name in front
//! of models, and carry a `url` for each file. All of them are read. Of a `url` only the folder or the zip's name is used,
//! where `root` or `asset` is missing: a fork must serve its own files.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Display;

use serde::Deserialize;
use serde::de::IgnoredAny;

use super::about;
use crate::catalog::Metadata;
use crate::digest::Digest;
use crate::error::{Error, ErrorKind, Result};
use crate::relpath::{RelPath, below, shown};
use crate::url::{Url, percent_decode};

/// The largest `models.toml` that is read, in bytes: about half a million files.
pub(crate) const MAX_REGISTRY_BYTES: u64 = 64 << 20;

/// A registry, read and not yet trusted.
#[derive(Debug)]
pub(crate) struct Registry {
    root: Option<String>,
    asset: Option<String>,
    files: HashMap<String, Stated>,
    /// Model → names of files.
    pub(super) models: BTreeMap<String, Vec<String>>,
    /// Example → names of models.
    pub(super) examples: BTreeMap<String, Vec<String>>,
    /// Model → what is said of it beyond its files.
    pub(super) about: BTreeMap<String, Metadata>,
}

/// What a registry states of a file.
#[derive(Debug, Default)]
pub(super) struct Stated {
    pub(super) size_bytes: Option<u64>,
    pub(super) digest: Option<Digest>,
    /// The folder that its URL names.
    folder: Option<String>,
}

#[derive(Deserialize)]
struct RegistryWire {
    schema_version: Option<SchemaVersion>,
    #[serde(rename = "_meta")]
    meta: Option<MetaWire>,
    root: Option<String>,
    asset: Option<String>,
    #[serde(default)]
    files: HashMap<String, FileWire>,
    #[serde(default)]
    models: BTreeMap<String, Vec<String>>,
    #[serde(default)]
    examples: BTreeMap<String, Vec<String>>,
    entries: Option<toml::Value>,
}

#[derive(Deserialize)]
struct MetaWire {
    schema_version: Option<SchemaVersion>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum SchemaVersion {
    Text(String),
    Whole(i64),
    Decimal(f64),
    Other(IgnoredAny),
}

#[derive(Deserialize)]
struct FileWire {
    hash: Option<String>,
    size: Option<u64>,
    url: Option<String>,
}

impl SchemaVersion {
    fn is_known(&self) -> bool {
        match self {
            Self::Text(text) => matches!(text.trim().split('.').next(), Some("1")),
            Self::Whole(number) => *number == 1,
            Self::Decimal(number) => (1.0..2.0).contains(number),
            Self::Other(_) => false,
        }
    }
}

impl Registry {
    /// Reads a registry that was found at `reference`; `location` names it in errors.
    pub(crate) fn parse(text: &str, reference: &str, location: impl Display) -> Result<Self> {
        let wire: RegistryWire = toml::from_str(text).map_err(|error| {
            Error::from(ErrorKind::Registry {
                location: location.to_string(),
                message: "the registry is malformed".into(),
                source: Some(in_a_line(&error, text).into()),
            })
        })?;
        let refuse = |message: String| Error::registry(&location, message);
        let version = wire
            .schema_version
            .or(wire.meta.and_then(|meta| meta.schema_version));
        if version.is_some_and(|version| !version.is_known()) {
            return Err(refuse(
                "the registry has a schema_version that is not known here; 1 is".into(),
            ));
        }
        let check_path = |what: &str, text: &str| {
            RelPath::parse(text).map_err(|error| refuse(format!("{what}: {error}")))
        };
        let root = wire.root.map(|root| root.trim_matches('/').to_owned());
        if let Some(root) = root.as_deref().filter(|root| !matches!(*root, "" | ".")) {
            check_path("root", root)?;
        }
        // Of several zips the first by name, so that every sync finds the same.
        let mut of_urls: Option<String> = None;
        let mut files = HashMap::with_capacity(wire.files.len());
        for (name, file) in wire.files {
            let digest = Digest::read(file.hash.as_deref().unwrap_or_default())
                .map_err(|_| refuse(format!("'{}' has an invalid hash", shown(&name))))?;
            let (mut folder, size_bytes) = (None, file.size);
            if let Some(path) = file.url.as_deref().and_then(path_of) {
                let last = path.rsplit('/').next().unwrap_or_default();
                if is_zip(last) && name.rsplit('/').next() != Some(last) {
                    if of_urls.as_deref().is_none_or(|first| last < first) {
                        of_urls = Some(last.to_owned());
                    }
                } else {
                    folder = folder_of(&path, &name, reference);
                }
            }
            let stated = Stated {
                size_bytes,
                digest,
                folder,
            };
            files.insert(name, stated);
        }
        let asset = wire.asset.or(of_urls);
        if let Some(asset) = &asset
            && check_path("asset", asset)?.components().count() != 1
        {
            return Err(refuse(format!("asset: '{}' has a slash", shown(asset))));
        }
        Ok(Self {
            root: root.map(|root| if root == "." { String::new() } else { root }),
            asset,
            files,
            models: wire.models,
            examples: wire.examples,
            about: about::read(wire.entries),
        })
    }

    /// What is stated of a file, and where it is in the repository or zip.
    pub(super) fn file(&self, name: &str) -> (Option<&Stated>, String) {
        let stated = self.files.get(name);
        let folder = self.root.as_deref();
        let folder = folder.or_else(|| stated?.folder.as_deref());
        (stated, below(folder.unwrap_or_default(), name))
    }

    /// The zip that holds the files, when the registry says it.
    pub(crate) fn asset(&self) -> Option<&str> {
        self.asset.as_deref()
    }

    /// How many files it lists.
    pub(super) fn file_count(&self) -> usize {
        self.files.len()
    }
}

/// The parser's words in one line, with where it stopped.
pub(crate) fn in_a_line(error: &toml::de::Error, text: &str) -> String {
    let message = error.message().trim().replace('\n', ", ");
    let before = error.span().and_then(|span| text.get(..span.start));
    match before {
        Some(before) => format!("line {}: {message}", before.matches('\n').count() + 1),
        None => message,
    }
}

/// The path of a URL, decoded.
fn path_of(url: &str) -> Option<String> {
    let url = Url::parse(url).ok()?.expose();
    let (_, rest) = url.split_once("://")?;
    let (_, path) = rest.split_once('/')?;
    let path = path.split('?').next().unwrap_or_default();
    String::from_utf8(percent_decode(path)).ok()
}

fn is_zip(name: &str) -> bool {
    name.len() > 4
        && name.is_char_boundary(name.len() - 4)
        && name[name.len() - 4..].eq_ignore_ascii_case(".zip")
}

/// The folder between the ref and a file's name in a path like `owner/name/<ref>/<folder>/<file>`.
fn folder_of(path: &str, name: &str, reference: &str) -> Option<String> {
    let before = path.strip_suffix(name)?.strip_suffix('/')?;
    let segments: Vec<&str> = before.split('/').collect();
    // Servers of one host for everything have `raw` in front of the ref; GitHub's has a host for that.
    let raw = segments
        .iter()
        .take(6)
        .position(|segment| *segment == "raw");
    let mut rest = segments.get(raw.map_or(2, |at| at + 1)..)?;
    if let ["refs", "heads" | "tags", below @ ..] = rest {
        rest = below;
    }
    let known: Vec<&str> = reference.split('/').collect();
    let folder = rest
        .strip_prefix(known.as_slice())
        .or_else(|| rest.get(1..))?;
    let folder = folder.join("/");
    (folder.is_empty() || RelPath::parse(&folder).is_ok()).then_some(folder)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HASH: &str = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";

    fn parse(text: &str) -> Result<Registry> {
        Registry::parse(&text.replace("HASH", HASH), "develop", "here")
    }

    #[test]
    fn hashes_are_read_in_every_form() {
        let registry = parse(
            "[files]\na = { hash = \"sha256:HASH\", size = 3 }\nb = { hash = \"HASH\" }\nc = { hash = \"SHA256:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\" }\nd = {}\ne = { hash = \"\" }\nf = { hash = \"md5:00\" }\n[models]\nm = [\"a\"]\n",
        )
        .unwrap();
        for (name, has_digest) in [
            ("a", true),
            ("b", true),
            ("c", true),
            ("d", false),
            ("e", false),
            ("f", false),
        ] {
            let (stated, path) = registry.file(name);
            assert_eq!(stated.unwrap().digest.is_some(), has_digest, "{name}");
            assert_eq!(path, name);
        }
        assert_eq!(registry.file("a").0.unwrap().size_bytes, Some(3));
        assert!(registry.file("not-listed").0.is_none());
        assert!(parse("[files]\na = { hash = \"zz\" }\n").is_err());
    }

    #[test]
    fn other_tables_and_schemas() {
        for good in [
            "schema_version = \"1.0\"\n",
            "schema_version = \"1.7\"\n",
            "schema_version = 1\n",
            "schema_version = 1.0\n",
            "generated_at = 2026-01-01T00:00:00Z\n[_meta]\nschema_version = \"1\"\n[targets.x]\na = 1\n",
            "",
        ] {
            assert!(parse(good).is_ok(), "{good}");
        }
        for bad in [
            "schema_version = \"2.0\"\n",
            "schema_version = []\n",
            "[_meta]\nschema_version = \"2\"\n",
            "root = \"../x\"\n",
            "asset = \"a/b.zip\"\n",
            "asset = \"..\"\n",
            "files = 1\n",
            "[files]\na = { size = -1 }\n",
            "[models]\nm = \"a\"\n",
            "= broken",
        ] {
            let error = parse(bad).unwrap_err();
            assert_eq!(error.code(), "REGISTRY_ERROR", "{bad}");
        }
    }

    #[test]
    fn of_a_url_only_the_folder_and_the_zip_count() {
        for (url, expected) in [
            (
                "https://raw.githubusercontent.com/o/n/develop/mf6/a/x",
                "mf6/a/x",
            ),
            (
                "https://raw.githubusercontent.com/o/n/master/mf6/deep/a/x",
                "mf6/deep/a/x",
            ),
            (
                "https://raw.githubusercontent.com/o/n/refs/heads/develop/mf6/a/x",
                "mf6/a/x",
            ),
            ("https://git.example.com/o/n/raw/develop/mf6/a/x", "mf6/a/x"),
            ("https://raw.githubusercontent.com/o/n/develop/a/x", "a/x"),
            ("https://raw.githubusercontent.com/o/n/develop/b/y", "a/x"),
            ("no url", "a/x"),
        ] {
            let registry = parse(&format!("[files]\n\"a/x\" = {{ url = \"{url}\" }}\n")).unwrap();
            assert_eq!(registry.file("a/x").1, expected, "{url}");
        }
        let registry = parse(
            "[files]\n\"a/x\" = { url = \"https://github.com/o/n/releases/download/v1/all.zip\" }\n\"all.zip\" = { url = \"https://github.com/o/n/releases/download/v1/all.zip\" }\n",
        )
        .unwrap();
        assert_eq!(registry.asset.as_deref(), Some("all.zip"));
        let stated = parse(
            "root = \"own\"\n[files]\n\"a/x\" = { url = \"https://raw.githubusercontent.com/o/n/develop/mf6/a/x\" }\n",
        );
        assert_eq!(stated.unwrap().file("a/x").1, "own/a/x");
    }
}
