//! A registry as a value, for programs that look at it themselves.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt::Display;
use std::fs::File;
use std::io::Read;
use std::path::Path;

use crate::catalog::Metadata;
use crate::digest::Digest;
use crate::disk::write::replace_file;
use crate::error::{Error, IoContext, Result};
use crate::modelstoml::{Document, Lists, MAX_REGISTRY_BYTES, Registry};

/// A `models.toml`: what a repository publishes about its models.
///
/// Names are as the registry lists them: of models with or without the name of the source in front, and nobody has checked
/// them. An entry that cannot be read is left out; [`text`](Self::text) has it. A [`Manager`](crate::Manager) checks everything.
///
/// ```
/// use modelrack::remote::ModelsToml;
///
/// let text = r#"
/// schema_version = "1.0"
/// [files]
/// "ex-gwf-twri01/mfsim.nam" = { hash = "sha256:9a129038d9a00aed0cf6a7ea059ca50a813449061ab87848cf1a13eafdf33b2c", size = 812 }
/// [models]
/// "ex-gwf-twri01" = ["ex-gwf-twri01/mfsim.nam"]
/// [examples]
/// "ex-gwf-twri" = ["ex-gwf-twri01"]
/// [entries.ex-gwf-twri01]
/// type = "flow"
/// "#;
/// let registry = ModelsToml::parse(text, "an example")?;
/// for (model, files) in registry.models() {
///     for file in files {
///         let listed = &registry.files()[file];
///         println!("{model}: {file} {:?} {:?} {:?}", listed.size_bytes, listed.digest, listed.url);
///     }
/// }
/// assert_eq!(registry.examples()["ex-gwf-twri"], ["ex-gwf-twri01"]);
/// assert_eq!(registry.metadata("ex-gwf-twri01").unwrap()["type"], "flow");
///
/// // What is saved is what was read, byte for byte.
/// # let folder = tempfile::tempdir()?;
/// let path = folder.path().join("models.toml");
/// registry.save(&path)?;
/// assert_eq!(std::fs::read_to_string(&path)?, text);
/// assert_eq!(ModelsToml::load(&path)?, registry);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct ModelsToml {
    text: String,
    files: BTreeMap<String, ListedFile>,
    models: BTreeMap<String, Vec<String>>,
    examples: BTreeMap<String, Vec<String>>,
    metadata: BTreeMap<String, Metadata>,
}

/// What a registry states about a file; [`ModelsToml`] has an example.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ListedFile {
    /// The digest of its content, if the registry states one.
    pub digest: Option<Digest>,
    /// Its size, if the registry states it.
    pub size_bytes: Option<u64>,
    /// A URL, if the registry states one. Pulls make URLs from the repository and the path instead.
    pub url: Option<String>,
}

impl ModelsToml {
    /// Reads the text of a registry; `location` names it in errors. [`ModelsToml`] has an example.
    ///
    /// # Errors
    /// [`Registry`](crate::ErrorKind::Registry) if it is malformed, has an unknown major `schema_version`, or is larger than
    /// 64 MiB.
    pub fn parse(text: impl Into<String>, location: impl Display) -> Result<Self> {
        let text = text.into();
        if text.len() as u64 > MAX_REGISTRY_BYTES {
            let message = format!("the registry has more than {MAX_REGISTRY_BYTES} bytes");
            return Err(Error::registry(location, message));
        }
        let (document, metadata) = Registry::parse(&text, "", &location)?.into_tables();
        let Document {
            files,
            models,
            examples,
            ..
        } = document;
        let files = files.into_iter().filter(|(_, file)| file.fault.is_none());
        let files = files.map(|(name, file)| {
            let listed = ListedFile {
                digest: file.digest,
                size_bytes: file.size_bytes,
                url: file.url.map(String::from),
            };
            (name.into_owned(), listed)
        });
        Ok(Self {
            files: files.collect(),
            models: owned(models),
            examples: owned(examples),
            metadata,
            text,
        })
    }

    /// Reads the registry in a file: one of a project, one that is [cached](crate::remote::CachedRegistry::path), or one that
    /// was [saved](Self::save). [`ModelsToml`] has an example.
    ///
    /// # Errors
    /// Those of [`ModelsToml::parse`]; the storage errors.
    pub fn load(path: &Path) -> Result<Self> {
        let (file, mut text) = (File::open(path).at("read", path)?, String::new());
        let mut most = file.take(MAX_REGISTRY_BYTES + 1);
        most.read_to_string(&mut text).at("read", path)?;
        Self::parse(text, path.display())
    }

    /// Writes the registry into a file, as a whole, and replaces the one there. [`ModelsToml`] has an example.
    ///
    /// # Errors
    /// The storage errors.
    pub fn save(&self, path: &Path) -> Result<()> {
        replace_file(path, self.text.as_bytes())
    }

    /// Returns the text, as it was read; [`ModelsToml`] has an example.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Returns the files by their names; [`ModelsToml`] has an example.
    #[must_use]
    pub fn files(&self) -> &BTreeMap<String, ListedFile> {
        &self.files
    }

    /// Returns the names of the files of each model; [`ModelsToml`] has an example.
    #[must_use]
    pub fn models(&self) -> &BTreeMap<String, Vec<String>> {
        &self.models
    }

    /// Returns the names of the models of each example; [`ModelsToml`] has an example.
    #[must_use]
    pub fn examples(&self) -> &BTreeMap<String, Vec<String>> {
        &self.examples
    }

    /// Returns what is stated about a model beyond its files; `None` if that is nothing. [`ModelsToml`] has an example.
    #[must_use]
    pub fn metadata(&self, model: &str) -> Option<&Metadata> {
        self.metadata.get(model)
    }
}

fn owned(lists: Lists<'_>) -> BTreeMap<String, Vec<String>> {
    let lists = lists.into_iter().map(|(name, list)| {
        let list = list.into_iter().map(Cow::into_owned);
        (name.into_owned(), list.collect())
    });
    lists.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_registry_is_saved_as_it_was_read_and_says_what_can_be_read() {
        let text = "\u{feff}# own words\r\n[files]\r\n\"../x\" = { hash = \"md5:0\" }\r\nbad = { size = \"no\" }\r\n\
                    [models]\r\nm = [\"../x\", \"gone\"]\r\nbroken = 3\r\n[_meta]\r\nx = 1";
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("models.toml");
        std::fs::write(&path, text).unwrap();
        let registry = ModelsToml::load(&path).unwrap();
        assert_eq!(registry.files()["../x"], ListedFile::default());
        assert_eq!((registry.files().len(), registry.models().len()), (1, 1));
        assert_eq!(registry.models()["m"], ["../x", "gone"]);
        assert!(registry.examples().is_empty() && registry.metadata("m").is_none());
        let other = folder.path().join("deep").join("copy.toml");
        registry.save(&other).unwrap();
        assert_eq!(std::fs::read(&other).unwrap(), text.as_bytes());
    }

    #[test]
    fn what_is_no_registry_is_refused_by_name() {
        for bad in ["files = 1\n", "= broken", "schema_version = \"2.0\"\n"] {
            let error = ModelsToml::parse(bad, "there").unwrap_err();
            assert_eq!(error.code(), "REGISTRY_ERROR", "{bad}");
            assert!(error.to_string().ends_with("(there)"), "{error}");
        }
        let folder = tempfile::tempdir().unwrap();
        let error = ModelsToml::load(&folder.path().join("gone")).unwrap_err();
        assert_eq!(error.code(), "STORAGE_ERROR");
        let large = "#".repeat(usize::try_from(MAX_REGISTRY_BYTES).unwrap() + 1);
        assert!(ModelsToml::parse(large, "there").is_err());
    }
}
