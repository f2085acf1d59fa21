//! The compiled registry of a ref: what a sync learned, in the form that [`crate::source::compiled`] shows.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::catalog::{PinState, RawMetadata};
use crate::digest::Digest;
use crate::error::{Error, Result};
use crate::http::Validators;
use crate::model::ModelName;
use crate::modelstoml::Registry;
use crate::relpath::below;
use crate::source::cache::RegistryCache;
use crate::source::compiled::{self, Compiled, Compiler, Row};
use crate::source::{LEFT_OUT_SHOWN, MAX_LEFT_OUT, warn_left_out};

pub(crate) type Head = compiled::Head<Origin>;

pub(crate) type Cached = Compiled<Origin>;

/// What is kept of a registry.
pub(crate) type Known = compiled::Known<Origin, Rest>;

/// Where a registry came from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Origin {
    pub(crate) reference: String,
    /// The source's name when it was synced, with which names of models begin.
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

/// What a registry has beside its models, with names without the source's.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Rest {
    /// Example → models.
    pub(crate) examples: BTreeMap<String, Vec<String>>,
    /// The models that cannot be offered, and why.
    pub(crate) left_out: BTreeMap<String, String>,
}

/// What is wrong with a registry.
#[derive(Default)]
struct Faults {
    first: Vec<String>,
    count: usize,
}

impl Faults {
    fn add(&mut self, fault: &impl Display) {
        self.count += 1;
        if self.first.len() < LEFT_OUT_SHOWN {
            self.first.push(fault.to_string());
        }
    }
}

/// Opens what is cached; `None` when nothing is, or another version of this crate wrote it.
pub(crate) fn open(cache: &RegistryCache) -> Result<Option<Cached>> {
    match cache.open_index()? {
        Some(file) => Compiled::open(file, &cache.index_path()),
        None => Ok(None),
    }
}

/// Checks everything that a registry says, and compiles it; what cannot be offered is said. `location` names the registry in
/// errors.
///
/// # Errors
/// [`ErrorKind::Registry`](crate::ErrorKind::Registry) when it has models of which none can be offered; whatever `out` fails
/// with.
pub(crate) fn write(
    registry: &Registry<'_>,
    origin: &Origin,
    location: &str,
    out: &mut dyn FnMut(&[u8]) -> Result<()>,
) -> Result<Head> {
    let source = origin.name.as_str();
    let mut compiler = Compiler::new(out);
    let (mut left_out, mut faults) = (BTreeMap::new(), Faults::default());
    registry.each_model(source, |model| {
        let listed = model.and_then(|model| Ok((model.listing(&origin.revision)?, model)));
        let ((json, bytes), model) = match listed {
            Ok(listed) => listed,
            Err(fault) => {
                faults.add(&fault);
                if left_out.len() < MAX_LEFT_OUT {
                    left_out.insert(fault.name, fault.reason);
                }
                return Ok(());
            }
        };
        model.fault().iter().for_each(|fault| faults.add(fault));
        let name = ModelName::parse(&below(source, model.name));
        let name = name.and_then(|name| name.version(&*origin.reference));
        let place = compiler.list(&json)?;
        let about = registry.metadata(&model).map(RawMetadata::from);
        compiler.add(&Row {
            model: name.map_err(|error| Error::registry(location, error.to_string()))?,
            digest: Digest::of(&json),
            alias_of: None,
            files: Some(model.files.len() as u64),
            bytes,
            place: Some(place),
            about: about.unwrap_or_default(),
            root: Arc::from(model.root),
        })
    })?;
    registry
        .faults_of_examples()
        .for_each(|fault| faults.add(&fault));
    match faults.first.first() {
        Some(fault) if compiler.is_empty() => return Err(Error::registry(location, fault)),
        _ => warn_left_out(location, &faults.first, faults.count),
    }
    let examples = registry.examples(source).into_iter();
    let examples = examples.map(|(example, models)| {
        let models = models.into_iter().map(str::to_owned);
        let models = models.filter(|model| !left_out.contains_key(model));
        (example.to_owned(), models.collect())
    });
    let rest = Rest {
        examples: examples.collect(),
        left_out,
    };
    compiler.finish(origin.clone(), registry.file_count(), &rest)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::Manifest;

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
        let mut cached = Cached::open(file.reopen().unwrap(), file.path())
            .unwrap()
            .unwrap();
        assert_eq!(cached.head, head);
        assert_eq!((head.models, head.files), (2, 3));
        let models: Vec<Row> = cached.rows().unwrap().map(Result::unwrap).collect();
        let shown: Vec<_> = models
            .iter()
            .map(|row| (row.model.to_string(), &*row.root, row.files, row.bytes))
            .collect();
        let [a, b] = ["mf6/test/a develop", "mf6/test/deep/b develop"].map(str::to_owned);
        assert_eq!(
            shown,
            [(a, "mf6/a", Some(1), None), (b, "mf6/b", Some(2), Some(7))]
        );
        let told: Vec<_> = models.iter().map(|model| model.about.json()).collect();
        assert_eq!(told, ["{}", r#"{"type":"flow"}"#]);
        let mut manifest = |row: &Row| {
            let json = cached.list(&row.place.unwrap(), row.digest).unwrap();
            Manifest::parse_listing(json, "here").unwrap()
        };
        for row in &models {
            assert_eq!(manifest(row).digest(), row.digest);
        }
        let manifest = manifest(&models[1]);
        let paths = manifest.files().iter().map(|file| file.path.to_string());
        assert_eq!(paths.collect::<Vec<_>>(), ["in/x", "mfsim.nam"]);
        let rest: Rest = cached.rest().unwrap();
        assert_eq!(rest.examples["e"], ["deep/b", "a"]);
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
