//! What the tables say that every reader knows.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt::{self, Display};

use serde::de::{Deserialize, Deserializer, Error as _};

use crate::digest::Digest;
use crate::error::{Error, Result};
use crate::manifest::{ManifestFile, write_listing};
use crate::model::ModelName;
use crate::relpath::{RelPath, below, collisions, common_folder, shown, twins};
use crate::sorted::SortedMap;
use crate::url::{Url, percent_decode};

/// The name of the file.
pub(crate) const REGISTRY_FILE: &str = "models.toml";
/// The largest `models.toml` that is read, in bytes: about half a million files.
pub(crate) const MAX_REGISTRY_BYTES: u64 = 64 << 20;

/// The tables that every reader knows, with names of a text that lives as long. They are not checked yet.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Document<'t> {
    pub(crate) root: Option<String>,
    pub(crate) asset: Option<String>,
    pub(crate) files: SortedMap<Cow<'t, str>, FileEntry>,
    /// Model → names of files.
    pub(crate) models: Lists<'t>,
    /// Example → names of models.
    pub(crate) examples: Lists<'t>,
}

/// What a registry says about a file.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Deserialize)]
pub(crate) struct FileEntry {
    #[serde(default, rename = "hash", deserialize_with = "digest")]
    pub(crate) digest: Option<Digest>,
    #[serde(rename = "size")]
    pub(crate) size_bytes: Option<u64>,
    pub(crate) url: Option<Box<str>>,
    /// Why it cannot be read.
    #[serde(skip)]
    pub(crate) fault: Option<Box<str>>,
}

/// A model, with its names checked.
#[derive(Debug)]
pub(crate) struct ListedModel<'a> {
    /// Its name as it is listed.
    pub(crate) listed: &'a str,
    /// Its name without that of the source.
    pub(crate) name: &'a str,
    /// The folder in the repository or zip that all its files are in.
    pub(crate) root: String,
    /// Its files, relative to that folder, in order.
    pub(crate) files: Vec<ManifestFile>,
    /// The names of files that cannot be used, with what is wrong with each, as the predicate of a sentence.
    pub(crate) unusable: BTreeMap<String, String>,
}

/// A model that cannot be offered.
#[derive(Debug)]
pub(crate) struct LeftOut {
    /// Its name without that of the source.
    pub(crate) name: String,
    pub(crate) reason: String,
}

impl FileEntry {
    /// Adds what another piece of the registry says about the same file; returns whether it says something else.
    pub(super) fn add(&mut self, other: Self) -> bool {
        let is_twice = (self.digest.is_some() && other.digest.is_some())
            || (self.size_bytes.is_some() && other.size_bytes.is_some())
            || (self.url.is_some() && other.url.is_some())
            || (self.fault.is_some() || other.fault.is_some());
        let is_nothing = other == Self::default();
        self.digest = self.digest.or(other.digest);
        self.size_bytes = self.size_bytes.or(other.size_bytes);
        self.url = self.url.take().or(other.url);
        !is_twice && !is_nothing
    }
}

/// Lists of names by their names.
pub(crate) type Lists<'t> = BTreeMap<Cow<'t, str>, Vec<Cow<'t, str>>>;

/// Copies lists with the names in them.
#[cfg(feature = "author")]
pub(crate) fn owned_lists<'n, N>(lists: BTreeMap<N, Vec<N>>) -> Lists<'static>
where
    N: Into<Cow<'n, str>>,
{
    let owned = |name: N| Cow::Owned(name.into().into_owned());
    let lists = lists.into_iter();
    let lists = lists.map(|(name, list)| (owned(name), list.into_iter().map(owned).collect()));
    lists.collect()
}

#[cfg(feature = "author")]
impl Document<'_> {
    /// Copies the names of the text.
    pub(super) fn into_owned(self) -> Document<'static> {
        let files = self.files.into_iter();
        let files = files.map(|(name, file)| (Cow::Owned(name.into_owned()), file));
        Document {
            root: self.root,
            asset: self.asset,
            files: files.collect(),
            models: owned_lists(self.models),
            examples: owned_lists(self.examples),
        }
    }

    /// Copies everything but the names.
    pub(super) fn borrowed(&self) -> Document<'_> {
        fn borrowed<'a>(lists: &'a Lists<'_>) -> Lists<'a> {
            let lists = lists.iter().map(|(name, list)| {
                let list = list.iter().map(|name| Cow::Borrowed(&**name));
                (Cow::Borrowed(&**name), list.collect())
            });
            lists.collect()
        }
        let files = self.files.iter();
        Document {
            root: self.root.clone(),
            asset: self.asset.clone(),
            files: files
                .map(|(name, file)| (Cow::Borrowed(&**name), file.clone()))
                .collect(),
            models: borrowed(&self.models),
            examples: borrowed(&self.examples),
        }
    }
}

impl Document<'_> {
    /// Returns what is said about a file, and its path in the repository or zip; `reference` is the ref of the registry.
    pub(super) fn file(&self, name: &str, reference: &str) -> (Option<&FileEntry>, String) {
        let entry = self.files.get(name);
        let of_url = || folder_of(&path_of(entry?.url.as_deref()?)?, name, reference);
        let path = match self.root() {
            Some(root) => below(root, name),
            None => below(&of_url().unwrap_or_default(), name),
        };
        (entry, path)
    }

    /// The folder that names of files are relative to; empty for the top.
    fn root(&self) -> Option<&str> {
        let root = self.root.as_deref().map(|root| root.trim_matches('/'));
        root.map(|root| if root == "." { "" } else { root })
    }

    /// Checks `root` and the name of the zip that holds the files, and returns the latter where the registry gives it: of
    /// several in URLs the first in order, so that every sync finds the same.
    pub(super) fn check_asset(&self, location: &dyn Display) -> Result<Option<String>> {
        let refuse = |message: String| Error::registry(location, message);
        let check = |what: &str, text: &str| {
            RelPath::parse(text).map_err(|error| refuse(format!("{what}: {error}")))
        };
        if let Some(root) = self.root().filter(|root| !root.is_empty()) {
            check("root", root)?;
        }
        let of_url = |(name, file): (&Cow<'_, str>, &FileEntry)| {
            let path = path_of(file.url.as_deref().filter(|url| may_be_zip(url))?)?;
            let last = path.rsplit('/').next()?;
            let is_another = name.rsplit('/').next() != Some(last);
            (is_zip(last) && is_another).then(|| last.to_owned())
        };
        let stated = self.asset.clone();
        let asset = stated.or_else(|| self.files.iter().filter_map(of_url).min());
        if let Some(asset) = &asset
            && check("asset", asset)?.components().count() != 1
        {
            return Err(refuse(format!("asset: '{}' has a slash", shown(asset))));
        }
        Ok(asset)
    }

    /// Passes on each model, with its names checked, or why it cannot be offered; `source` is the name of the source, which
    /// names of models are listed with or without.
    ///
    /// # Errors
    /// Whatever `take` fails with.
    pub(crate) fn each_model<'a>(
        &'a self,
        source: &str,
        reference: &str,
        mut take: impl FnMut(Result<ListedModel<'a>, LeftOut>) -> Result<()>,
    ) -> Result<()> {
        let twins = twins(self.models.keys().map(|it| without_source(it, source)));
        for (listed, files) in &self.models {
            let listed: &str = listed;
            let name = without_source(listed, source);
            let model = match ModelName::parse(&below(source, name)) {
                Err(error) => Err(error.to_string()),
                Ok(_) if !twins.is_empty() && twins.contains(&name.to_lowercase()) => {
                    let name = shown(listed);
                    Err(format!(
                        "'{name}' occurs twice, or differs from another only in case"
                    ))
                }
                Ok(_) => self.model(listed, name, files, reference),
            };
            take(model.map_err(|reason| LeftOut::new(name, reason)))?;
        }
        Ok(())
    }

    fn model<'a>(
        &'a self,
        listed: &'a str,
        name: &'a str,
        files: &[Cow<'_, str>],
        reference: &str,
    ) -> Result<ListedModel<'a>, String> {
        let (mut by_path, mut unusable) = (BTreeMap::new(), BTreeMap::new());
        for file in files {
            let (entry, path) = self.file(file, reference);
            let fault = entry.and_then(|entry| entry.fault.as_ref());
            let fault = fault.map(|fault| format!("has an entry that cannot be read: {fault}"));
            match (RelPath::parse(&path), fault) {
                (Ok(path), None) => _ = by_path.insert(path, entry),
                (Ok(_), Some(fault)) => _ = unusable.insert(path, fault),
                (Err(error), _) => _ = unusable.insert(path, error.reason().to_owned()),
            }
        }
        if let Some((file, fault)) = unusable.first_key_value().filter(|_| by_path.is_empty()) {
            return Err(format!("the file '{}' {fault}", shown(file)));
        }
        let usable = || by_path.keys().map(RelPath::as_str);
        // Where it is, a file that cannot be used says nothing about the others, unless it is beside them.
        let root = match common_folder(usable().chain(unusable.keys().map(String::as_str))) {
            "" => common_folder(usable()),
            folder => folder,
        };
        let root = root.to_owned();
        let skip = if root.is_empty() { 0 } else { root.len() + 1 };
        let relative = |path: &str| match path.strip_prefix(&root) {
            Some(_) if !root.is_empty() && path.len() > skip => path[skip..].to_owned(),
            _ => path.to_owned(),
        };
        let files = by_path.iter().map(|(path, entry)| {
            let path = RelPath::parse(&path.as_str()[skip..]).map_err(|it| it.to_string())?;
            Ok(ManifestFile {
                size_bytes: entry.and_then(|entry| entry.size_bytes),
                digest: entry.and_then(|entry| Some(entry.digest?.into())),
                ..ManifestFile::new(path)
            })
        });
        let files = files.collect::<Result<_, String>>()?;
        let unusable = unusable.into_iter();
        let unusable = unusable.map(|(path, fault)| (relative(&path), fault));
        Ok(ListedModel {
            listed,
            name,
            files,
            unusable: unusable.collect(),
            root,
        })
    }
}

impl LeftOut {
    pub(super) fn new(name: &str, reason: String) -> Self {
        let name = name.to_owned();
        Self { name, reason }
    }
}

impl fmt::Display for LeftOut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "model '{}': {}", shown(&self.name), self.reason)
    }
}

impl ListedModel<'_> {
    /// Returns the document that lists its files, and their total size; `revision` is what they are of.
    ///
    /// # Errors
    /// Why it cannot be offered: its sizes are too large.
    pub(crate) fn listing(&self, revision: &str) -> Result<(Vec<u8>, Option<u64>), LeftOut> {
        write_listing(&self.files, &self.unusable, revision)
            .map_err(|reason| LeftOut::new(self.name, reason))
    }

    /// Returns the first file that cannot be installed, and what is wrong with it.
    pub(crate) fn fault(&self) -> Option<LeftOut> {
        let collision = || {
            let mut collisions = collisions(self.files.iter().map(|file| &file.path));
            let (path, reason) = collisions.next()?;
            Some((path.as_str(), reason))
        };
        let unusable = self.unusable.first_key_value();
        let unusable = unusable.map(|(file, reason)| (file.as_str(), reason.as_str()));
        let (file, reason) = unusable.or_else(collision)?;
        Some(LeftOut::new(
            self.name,
            format!("the file '{}' {reason}", shown(file)),
        ))
    }
}

/// Removes the name of the source from the front of a name.
pub(crate) fn without_source<'a>(listed: &'a str, source: &str) -> &'a str {
    let rest = listed.strip_prefix(source);
    rest.and_then(|rest| rest.strip_prefix('/'))
        .unwrap_or(listed)
}

/// Deserializes a digest; `None` when it is empty or of another algorithm.
pub(super) fn digest<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Digest>, D::Error> {
    Digest::read(&String::deserialize(deserializer)?).map_err(D::Error::custom)
}

/// Whether a URL can lead to a zip, without decoding it.
fn may_be_zip(url: &str) -> bool {
    url.contains('%') || is_zip(url.trim().split(['?', '#']).next().unwrap_or_default())
}

/// Returns whether a file is a zip by its name.
pub(crate) fn is_zip(name: &str) -> bool {
    let extension = name.len().checked_sub(4).and_then(|at| name.get(at..));
    name.len() > 4 && extension.is_some_and(|extension| extension.eq_ignore_ascii_case(".zip"))
}

/// The path of a URL, decoded.
fn path_of(url: &str) -> Option<String> {
    let url = Url::parse(url).ok()?.expose();
    let (_, rest) = url.split_once("://")?;
    let (_, path) = rest.split_once('/')?;
    let path = path.split('?').next().unwrap_or_default();
    String::from_utf8(percent_decode(path)).ok()
}

/// The folder between the ref and the name of a file in a path such as `owner/name/<ref>/<folder>/<file>`.
fn folder_of(path: &str, name: &str, reference: &str) -> Option<String> {
    let before = path.strip_suffix(name)?.strip_suffix('/')?;
    let segments: Vec<&str> = before.split('/').collect();
    // Most servers have `raw` in front of the ref; GitHub has a host for raw files instead.
    let raw = segments.iter().take(6).position(|it| *it == "raw");
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
