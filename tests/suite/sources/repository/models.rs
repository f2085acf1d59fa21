//! Models as groundwater modellers keep them, and the `models.toml` that lists them.
#![allow(
    dead_code,
    clippy::unwrap_used,
    reason = "the benchmarks use a part of it, and a fixture that fails ends the test"
)]

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::File;
use std::io::Read;
use std::path::{Path, absolute};

use serde_json::Value;
use sha2::{Digest, Sha256};
use zip::ZipArchive;

/// A name with `/` between the folders, and the bytes.
pub(crate) type NamedFile = (String, Vec<u8>);

/// What makes a folder a model.
const NAME_FILE: &str = "mfsim.nam";

/// Three small models, one of them in two folders, and a file that belongs to none: nine files by name.
pub(crate) fn small_models() -> Vec<NamedFile> {
    let loose = [
        ("README.md", "# Models\n"),
        ("ex-gwf-twri01/input/wells.txt", "1 4 10 -5.0\n"),
        ("test001a_Tharmonic/grösse 2.txt", "10 × 10\n"),
    ];
    let loose = loose.map(|(name, text)| (name.to_owned(), text.into()));
    let mut files: Vec<NamedFile> = loose.into();
    files.extend(model("ex-gwf-twri01", "twri"));
    files.extend(model("ex-gwt-keating/flow", "keating"));
    files.extend(model("test001a_Tharmonic", "flow15"));
    files.sort();
    files
}

/// The name files of a simulation and its flow model, in a folder.
fn model(folder: &str, name: &str) -> [NamedFile; 2] {
    let simulation = format!(
        "BEGIN TIMING\n  TDIS6  {name}.tdis\nEND TIMING\n\nBEGIN MODELS\n  GWF6  {name}.nam  {name}\nEND MODELS\n"
    );
    let flow = format!("BEGIN PACKAGES\n  DIS6  {name}.dis\n  NPF6  {name}.npf\nEND PACKAGES\n");
    [
        (format!("{folder}/{NAME_FILE}"), simulation.into_bytes()),
        (format!("{folder}/{name}.nam"), flow.into_bytes()),
    ]
}

/// The files of a public repository of models, all below `mf6/`; `None` where no zip of it lies beside the crate.
pub(crate) fn real_models() -> Option<Vec<NamedFile>> {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data/mf6-models.zip");
    let mut archive = ZipArchive::new(File::open(absolute(beside).ok()?).ok()?).unwrap();
    let files = (0..archive.len()).map(|index| {
        let mut entry = archive.by_index(index).unwrap();
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes).unwrap();
        (entry.name().unwrap().into_owned(), bytes)
    });
    Some(files.collect())
}

/// The same files below a folder.
pub(crate) fn below(folder: &str, files: &[NamedFile]) -> Vec<NamedFile> {
    files
        .iter()
        .map(|(name, bytes)| (format!("{folder}/{name}"), bytes.clone()))
        .collect()
}

/// The models among files: each folder with a name file, with what lies in it and in no model further down.
pub(crate) fn models_of(files: &[NamedFile]) -> BTreeMap<String, Vec<String>> {
    let mut models = BTreeMap::new();
    for (name, _) in files {
        if let Some((folder, NAME_FILE)) = name.rsplit_once('/') {
            models.insert(folder.to_owned(), Vec::new());
        }
    }
    for (name, _) in files {
        let folders = name.rmatch_indices('/').map(|(at, _)| &name[..at]);
        let mut models_above = folders.filter(|folder| models.contains_key(*folder));
        if let Some(nearest) = models_above.next() {
            models
                .entry(nearest.to_owned())
                .or_default()
                .push(name.clone());
        }
    }
    models
}

/// How a `models.toml` writes its hashes.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Hashes {
    /// `sha256:` and lower case.
    Prefixed,
    /// The digits alone.
    Bare,
    /// The digits alone, in capitals.
    Capitals,
    /// Not at all.
    Missing,
}

/// A `models.toml`, as strict or as sloppy as they are.
#[derive(Clone)]
pub(crate) struct ModelsToml {
    head: Vec<String>,
    /// Name, SHA-256 and size.
    files: Vec<(String, String, usize)>,
    models: BTreeMap<String, Vec<String>>,
    examples: BTreeMap<String, Vec<String>>,
    tail: String,
    hashes: Hashes,
    sizes: bool,
    /// What precedes a file's name in its url.
    url: Option<String>,
}

impl ModelsToml {
    /// One with nothing but a schema version.
    pub(crate) fn new() -> Self {
        Self {
            head: vec!["schema_version = \"1.0\"".to_owned()],
            files: Vec::new(),
            models: BTreeMap::new(),
            examples: BTreeMap::new(),
            tail: String::new(),
            hashes: Hashes::Prefixed,
            sizes: true,
            url: None,
        }
    }

    /// One that lists files, and the models among them.
    pub(crate) fn of(files: &[NamedFile]) -> Self {
        let mut toml = Self::new();
        for (name, bytes) in files {
            toml = toml.file(name, bytes);
        }
        toml.models = models_of(files);
        toml
    }

    /// Lists a file, whatever its name.
    pub(crate) fn file(mut self, name: &str, bytes: &[u8]) -> Self {
        let sha256 = Sha256::digest(bytes);
        let sha256 = sha256.iter().map(|byte| format!("{byte:02x}")).collect();
        self.files.push((name.to_owned(), sha256, bytes.len()));
        self
    }

    /// Lists a model, in place of one with the same name.
    pub(crate) fn model(mut self, name: &str, files: &[&str]) -> Self {
        self.models.insert(name.to_owned(), owned(files));
        self
    }

    /// Puts a prefix before the names of all models so far.
    pub(crate) fn prefix_models(mut self, prefix: &str) -> Self {
        let models = self.models.into_iter();
        self.models = models
            .map(|(name, files)| (format!("{prefix}{name}"), files))
            .collect();
        self
    }

    pub(crate) fn example(mut self, name: &str, models: &[&str]) -> Self {
        self.examples.insert(name.to_owned(), owned(models));
        self
    }

    /// Names the folder that the names of files are relative to.
    pub(crate) fn root(self, root: &str) -> Self {
        self.line(&format!("root = {}", quoted(root)))
    }

    /// Names the zip that holds the files.
    pub(crate) fn asset(self, asset: &str) -> Self {
        self.line(&format!("asset = {}", quoted(asset)))
    }

    /// Adds a line above the tables.
    pub(crate) fn line(mut self, line: &str) -> Self {
        self.head.push(line.to_owned());
        self
    }

    /// Adds text behind the tables.
    pub(crate) fn tail(mut self, text: &str) -> Self {
        self.tail.push_str(text);
        self
    }

    pub(crate) fn hashes(mut self, hashes: Hashes) -> Self {
        self.hashes = hashes;
        self
    }

    pub(crate) fn without_sizes(mut self) -> Self {
        self.sizes = false;
        self
    }

    /// Gives each file a url: this, and its name.
    pub(crate) fn urls_below(mut self, url: &str) -> Self {
        self.url = Some(url.to_owned());
        self
    }

    pub(crate) fn text(&self) -> String {
        let mut text = self.head.join("\n") + "\n\n[files]\n";
        for (name, sha256, size) in &self.files {
            let hash = match self.hashes {
                Hashes::Prefixed => Some(format!("sha256:{sha256}")),
                Hashes::Bare => Some(sha256.clone()),
                Hashes::Capitals => Some(sha256.to_uppercase()),
                Hashes::Missing => None,
            };
            let url = self.url.as_ref().map(|url| format!("{url}{name}"));
            let facts = [
                hash.map(|hash| format!("hash = {}", quoted(&hash))),
                self.sizes.then(|| format!("size = {size}")),
                url.map(|url| format!("url = {}", quoted(&url))),
            ];
            let facts: Vec<String> = facts.into_iter().flatten().collect();
            writeln!(text, "{} = {{ {} }}", quoted(name), facts.join(", ")).unwrap();
        }
        for (table, lists) in [("models", &self.models), ("examples", &self.examples)] {
            writeln!(text, "\n[{table}]").unwrap();
            for (name, members) in lists {
                let members: Vec<String> = members.iter().map(|member| quoted(member)).collect();
                writeln!(text, "{} = [{}]", quoted(name), members.join(", ")).unwrap();
            }
        }
        text + &self.tail
    }
}

impl From<ModelsToml> for Vec<u8> {
    fn from(toml: ModelsToml) -> Self {
        toml.text().into_bytes()
    }
}

/// A basic string of TOML; JSON writes them the same way.
fn quoted(text: &str) -> String {
    Value::from(text).to_string()
}

fn owned(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}
