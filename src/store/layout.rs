//! The paths of the store: all of them are built here. [`crate::installed`] shows them; in `cache/`, there are
//!
//! ```text
//! <model key>.lock           held while one model is pulled or removed
//! <model key>-<manifest>/    see `partial`; without the files if the model's place is on another disk, see `staging`
//! ```
//!
//! Folder names are the names themselves, percent-encoded where some file system would refuse them or where they would
//! clash with the store's own. They are a format: changing the encoding loses what is installed.

use std::path::{Path, PathBuf};

use crate::digest::Digest;
use crate::disk::names::{encode, escape_first};
use crate::model::{ModelName, ModelRef};
use crate::relpath::RelPath;
use crate::url::percent_decode;

const CACHE: &str = "cache";
const RECORD: &str = "registry.json";

/// The paths of one app's store.
#[derive(Debug, Clone)]
pub(crate) struct Layout {
    root: PathBuf,
    app: String,
}

impl Layout {
    pub(crate) fn new(root: PathBuf, app: &str) -> Self {
        Self {
            root,
            app: app.to_owned(),
        }
    }

    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    pub(crate) fn record(&self) -> PathBuf {
        self.root.join(RECORD)
    }

    pub(crate) fn record_backup(&self) -> PathBuf {
        self.root.join("registry.json.bak")
    }

    pub(crate) fn record_lock(&self) -> PathBuf {
        self.root.join("registry.json.lock")
    }

    pub(crate) fn record_damaged(&self, number: u32) -> PathBuf {
        self.root.join(format!("registry.json.damaged-{number}"))
    }

    pub(crate) fn cache(&self) -> PathBuf {
        self.root.join(CACHE)
    }

    pub(crate) fn model_lock(&self, model: &ModelRef) -> PathBuf {
        self.cache().join(format!("{}.lock", model_key(model)))
    }

    /// Returns the lock of the model that a folder of the cache belongs to.
    pub(crate) fn lock_of(&self, dir: &Path) -> PathBuf {
        let name = dir.file_name().unwrap_or_default().to_string_lossy();
        let key = name.split('-').next().unwrap_or_default();
        self.cache().join(format!("{key}.lock"))
    }

    /// Returns the folder of a partial; `copy` distinguishes several of the same model and manifest.
    pub(crate) fn partial(&self, model: &ModelRef, manifest: &Digest, copy: u32) -> PathBuf {
        let manifest = &manifest.to_string()[..16];
        let copy = if copy == 0 {
            String::new()
        } else {
            format!("-{copy}")
        };
        self.cache()
            .join(format!("{}-{manifest}{copy}", model_key(model)))
    }

    /// Returns the folder that a model is moved to while it is removed.
    pub(crate) fn removal(&self, model: &ModelRef) -> PathBuf {
        self.cache().join(format!("{}-removed", model_key(model)))
    }

    pub(crate) fn model_dir(&self, model: &ModelRef) -> PathBuf {
        let mut path = self.root.clone();
        path.extend(self.components(model));
        path
    }

    /// Returns the folder names from the root down to a model's version.
    fn components(&self, model: &ModelRef) -> Vec<String> {
        let segments = model
            .group()
            .split('/')
            .filter(|segment| !segment.is_empty())
            .chain([model.model()]);
        let mut components: Vec<String> = segments.map(encode).collect();
        if let Some(top) = components.first_mut()
            && is_own_name(top)
        {
            *top = escape_first(top);
        }
        components.push(encode(model.version()));
        components
    }

    /// Returns the model that a folder belongs to.
    pub(crate) fn model_of(&self, dir: &Path) -> Option<ModelRef> {
        let decode = |name: &str| String::from_utf8(percent_decode(name)).ok();
        let components: Vec<String> = dir
            .strip_prefix(&self.root)
            .ok()?
            .components()
            .map(|component| decode(component.as_os_str().to_str()?))
            .collect::<Option<_>>()?;
        let [group @ .., model, version] = components.as_slice() else {
            return None;
        };
        let name = ModelName::new(&group.join("/"), model).ok()?;
        let model = name.version(version).ok()?;
        (self.model_dir(&model) == dir).then_some(model)
    }

    /// Returns whether one model would lie inside the other, or in the same place on a system that ignores case.
    pub(crate) fn collide(&self, one: &ModelRef, other: &ModelRef) -> bool {
        let (one, other) = (self.components(one), self.components(other));
        one != other
            && one
                .iter()
                .zip(&other)
                .all(|(a, b)| a == b || a.to_lowercase() == b.to_lowercase())
    }

    /// Returns the folder of our own files in a model's folder.
    pub(crate) fn own_dir(&self, model_dir: &Path) -> PathBuf {
        model_dir.join(format!(".{}", self.app))
    }

    pub(crate) fn manifest_in(&self, model_dir: &Path) -> PathBuf {
        self.own_dir(model_dir).join("manifest.json")
    }

    pub(crate) fn clones_in(&self, model_dir: &Path) -> PathBuf {
        self.own_dir(model_dir).join("clones.json")
    }

    pub(crate) fn record_in(&self, model_dir: &Path) -> PathBuf {
        self.own_dir(model_dir).join("record.json")
    }

    /// Returns whether a model's file would lie among our own.
    pub(crate) fn is_own(&self, path: &RelPath) -> bool {
        let first = path.components().next().unwrap_or_default();
        first
            .strip_prefix('.')
            .is_some_and(|name| name.eq_ignore_ascii_case(&self.app))
    }
}

/// Joins a model's file to its folder.
pub(crate) fn file_in(model_dir: &Path, path: &RelPath) -> PathBuf {
    let mut joined = model_dir.to_owned();
    joined.extend(path.components());
    joined
}

/// Returns a short name that no other model has.
pub(crate) fn model_key(model: &ModelRef) -> String {
    Digest::of(model.to_string().as_bytes()).to_string()[..16].to_owned()
}

/// Returns whether a name at the root of the store is one of its own, on a system that ignores case.
fn is_own_name(component: &str) -> bool {
    let lower = component.to_lowercase();
    lower == CACHE || lower.starts_with(RECORD)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layout() -> Layout {
        Layout::new(PathBuf::from("/s"), "rack")
    }

    fn model(group: &str, model: &str, version: &str) -> ModelRef {
        ModelRef::new(group, model, version).unwrap()
    }

    #[test]
    fn names_become_folders_and_back() {
        let layout = layout();
        for (m, expected) in [
            (
                model("fast-whisper", "tiny", "fp16"),
                "fast-whisper/tiny/fp16",
            ),
            (
                model("mf6/test", "test001a", "feature/x"),
                "mf6/test/test001a/feature%2Fx",
            ),
            (model("", "gpt2", "main"), "gpt2/main"),
            (model("cache", "m", "v"), "%63ache/m/v"),
            (model("Cache", "m", "v"), "%43ache/m/v"),
            (model("", "registry.json", "v"), "%72egistry.json/v"),
            (
                model("registry.json.bak", "m", "v"),
                "%72egistry.json.bak/m/v",
            ),
            (model("g", "cache", "v"), "g/cache/v"),
            (model("g", "m", "q4:latest*?"), "g/m/q4%3Alatest%2A%3F"),
            (model("g", "m", "100%"), "g/m/100%25"),
            (model("g", ".rack", "v"), "g/%2Erack/v"),
        ] {
            let expected = expected
                .split('/')
                .fold(PathBuf::from("/s"), |path, part| path.join(part));
            assert_eq!(layout.model_dir(&m), expected);
            assert_eq!(layout.model_of(&expected), Some(m));
        }
        assert_eq!(layout.model_of(Path::new("/s/cache/m/v")), None);
        assert_eq!(layout.model_of(Path::new("/elsewhere/g/m/v")), None);
    }

    #[test]
    fn models_may_not_lie_in_one_another() {
        let layout = layout();
        assert!(layout.collide(&model("a", "b", "c"), &model("a/b", "c", "v")));
        assert!(layout.collide(&model("a", "b", "V"), &model("A", "b", "v")));
        assert!(!layout.collide(&model("a", "b", "c"), &model("a", "b", "c")));
        assert!(!layout.collide(&model("a", "b", "c"), &model("a", "b", "c/d")));
        assert!(!layout.collide(&model("a", "b", "c"), &model("a/b", "d", "v")));
    }

    #[test]
    fn our_own_files_are_nobody_else_s() {
        assert!(layout().is_own(&RelPath::parse(".RACK/manifest.json").unwrap()));
        assert!(!layout().is_own(&RelPath::parse(".racks/x").unwrap()));
        assert!(!layout().is_own(&RelPath::parse("a/.rack/x").unwrap()));
    }
}
