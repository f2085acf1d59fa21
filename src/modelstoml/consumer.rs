//! A registry as consumers read it.

use std::collections::BTreeMap;
use std::fmt::Display;

use super::document::{Document, LeftOut, ListedModel, without_source};
use super::metadata::Entries;
use super::pieces::each_piece;
use super::tables::{Faults, Tables};
use crate::catalog::Metadata;
use crate::error::Result;
use crate::relpath::shown;

/// A registry at a ref. Names in it are checked when [`Registry::each_model`] passes them on.
#[derive(Debug)]
pub(crate) struct Registry<'t> {
    document: Document<'t>,
    faults: Faults,
    metadata: BTreeMap<String, Metadata>,
    reference: String,
    /// The zip that holds the files, where the registry gives it.
    pub(crate) asset: Option<String>,
}

impl<'t> Registry<'t> {
    /// Parses a registry that was found at `reference`; `location` names it in errors.
    ///
    /// # Errors
    /// [`ErrorKind::Registry`](crate::ErrorKind::Registry) when it is malformed, has an unknown major `schema_version`, or
    /// names a `root` or zip that cannot be one.
    pub(crate) fn parse(text: &'t str, reference: &str, location: &'t dyn Display) -> Result<Self> {
        let (mut tables, mut entries) = (Tables::new(location), Entries::default());
        each_piece(text, location, |piece| {
            let left = tables.take(piece)?;
            left.map_or(Ok(()), |piece| {
                entries.take(piece, &mut tables.room, location)
            })
        })?;
        tables.check_version()?;
        let (document, faults) = tables.finish();
        Ok(Self {
            asset: document.check_asset(location)?,
            document,
            faults,
            metadata: entries.metadata(),
            reference: reference.to_owned(),
        })
    }

    /// Returns the tables that every reader knows, and what is said about each model.
    pub(crate) fn into_tables(self) -> (Document<'t>, BTreeMap<String, Metadata>) {
        (self.document, self.metadata)
    }

    /// Returns the number of files that it lists.
    pub(crate) fn file_count(&self) -> usize {
        self.document.files.len()
    }

    /// Passes on each model, with its names checked, or why it cannot be offered; see [`Document::each_model`].
    pub(crate) fn each_model<'a>(
        &'a self,
        source: &str,
        mut take: impl FnMut(Result<ListedModel<'a>, LeftOut>) -> Result<()>,
    ) -> Result<()> {
        for (listed, fault) in &self.faults.models {
            let name = without_source(listed, source);
            take(Err(LeftOut::new(name, fault.clone())))?;
        }
        self.document.each_model(source, &self.reference, take)
    }

    /// Returns what is said about a model.
    pub(crate) fn metadata(&self, model: &ListedModel<'_>) -> Option<&Metadata> {
        self.metadata.get(model.listed)
    }

    /// Returns what is wrong with examples that cannot be read.
    pub(crate) fn faults_of_examples(&self) -> impl Iterator<Item = String> {
        let faults = self.faults.examples.iter();
        faults.map(|(example, fault)| format!("example '{}': {fault}", shown(example)))
    }

    /// Returns example → models, both without the name of the source.
    pub(crate) fn examples<'a>(&'a self, source: &str) -> BTreeMap<&'a str, Vec<&'a str>> {
        let examples = self.document.examples.iter();
        let examples = examples.map(|(example, models)| {
            let models = models.iter().map(|model| without_source(model, source));
            (without_source(example, source), models.collect())
        });
        examples.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HASH: &str = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";

    fn parse(text: &str) -> Result<Registry<'static>> {
        let text = text.replace("HASH", HASH);
        Registry::parse(text.leak(), "develop", &"here")
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
            let (stated, path) = registry.document.file(name, "develop");
            assert_eq!(stated.unwrap().digest.is_some(), has_digest, "{name}");
            assert_eq!(path, name);
        }
        assert_eq!(
            registry.document.file("a", "develop").0.unwrap().size_bytes,
            Some(3)
        );
        assert!(registry.document.file("not-listed", "develop").0.is_none());
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
            assert_eq!(
                registry.document.file("a/x", "develop").1,
                expected,
                "{url}"
            );
        }
        let registry = parse(
            "[files]\n\"a/x\" = { url = \"https://github.com/o/n/releases/download/v1/all.zip\" }\n\"all.zip\" = { url = \"https://github.com/o/n/releases/download/v1/all.zip\" }\n",
        )
        .unwrap();
        assert_eq!(registry.asset.as_deref(), Some("all.zip"));
        let stated = parse(
            "root = \"own\"\n[files]\n\"a/x\" = { url = \"https://raw.githubusercontent.com/o/n/develop/mf6/a/x\" }\n",
        );
        assert_eq!(stated.unwrap().document.file("a/x", "develop").1, "own/a/x");
    }
}
