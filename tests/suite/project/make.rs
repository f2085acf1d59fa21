//! Making the registry of a repository: it indexes what is served, and the same files give the same bytes.

mod hostile;
mod leftovers;
mod local;
mod remote;
mod staged;

use std::fs;
use std::path::PathBuf;

use modelrack::project::{MakeOptions, MakeOrigin, MakeReport, Project, RepositoryRef};
use modelrack::{Config, Environment, Error, Result};
use sha2::{Digest, Sha256};

use crate::support::disk::{names_in, write_files};
use crate::support::forge::{Forge, Repo};
use crate::support::rack::Rack;

/// A publisher's machine, and the host of a repository.
struct Publisher {
    forge: Forge,
    repo: Repo,
    rack: Rack,
}

impl Publisher {
    fn new() -> Self {
        let forge = Forge::start();
        Self {
            repo: forge.repo("o/models"),
            forge,
            rack: Rack::new(),
        }
    }

    /// With [`tree`] at branch `develop`.
    fn with_models() -> Self {
        let publisher = Self::new();
        publisher.repo.commit("develop", tree());
        publisher
    }

    fn environment(&self) -> Environment {
        self.rack
            .environment()
            .variable("GITHUB_SERVER_URL", self.forge.url())
    }

    fn config(&self) -> Config {
        self.rack.bare_config()
    }

    fn make(&self, options: &MakeOptions) -> Result<MakeReport> {
        Project::make(options)
    }

    /// Makes the registry of some bytes as a zip of release `v1`.
    fn make_of_zip(&self, zip: Vec<u8>) -> Result<MakeReport> {
        self.repo.release("v1", [("all.zip", zip)]);
        self.make(&self.of_asset("v1", "all.zip", ""))
    }

    fn output(&self) -> PathBuf {
        self.rack.temp.path().join("output")
    }

    fn of_archive(&self, reference: &str, path: &str) -> MakeOptions {
        self.options(MakeOrigin::Archive {
            repository: RepositoryRef::new("o/models", reference),
            path: path.to_owned(),
        })
    }

    fn of_asset(&self, tag: &str, file: &str, path: &str) -> MakeOptions {
        self.options(MakeOrigin::Asset {
            repository: RepositoryRef::new("o/models", tag),
            file: file.to_owned(),
            path: path.to_owned(),
        })
    }

    /// Options for a folder below that of the test, outside of a work tree unless the test makes one there.
    fn of_folder(&self, path: &str) -> MakeOptions {
        self.options(MakeOrigin::Folder {
            path: self.rack.temp.path().join(path),
            repository: None,
        })
    }

    fn options(&self, origin: MakeOrigin) -> MakeOptions {
        MakeOptions::new(self.config(), origin)
            .environment(self.environment())
            .output(self.output())
    }

    /// Writes files below a folder of the test.
    fn write<N: AsRef<str>, B: AsRef<[u8]>>(&self, folder: &str, files: &[(N, B)]) {
        let files: Vec<_> = files
            .iter()
            .map(|(name, bytes)| (name.as_ref(), bytes.as_ref()))
            .collect();
        write_files(&self.rack.temp.path().join(folder), &files);
    }

    /// What was written to the output folder.
    fn made(&self) -> String {
        assert_eq!(names_in(&self.output()), ["models.toml"]);
        fs::read_to_string(self.output().join("models.toml")).unwrap()
    }

    /// Asserts that making fails, keeps an existing registry, and leaves no temporary files.
    #[track_caller]
    fn refuse(&self, options: &MakeOptions) -> Error {
        let path = self.output().join("models.toml");
        let before = fs::read(&path).ok();
        let error = self.make(options).unwrap_err();
        assert_eq!(fs::read(&path).ok(), before);
        let names = names_in(&self.output());
        assert!(
            names.iter().all(|name| name == "models.toml"),
            "{names:?} after {error}"
        );
        error
    }
}

/// The registry of [`tree`] in a release, where an example may have one model.
fn expected_of_release() -> String {
    let one = "\"mf6/test/test001a\" = [\n    \"mf6/test/test001a\",\n]\n";
    expected().replace("]\n\n# end", &format!("]\n{one}\n# end"))
}

/// Two models below `mf6`, one of them in an example, with outputs of runs and files that belong to no model.
fn tree() -> Vec<(&'static str, &'static str)> {
    vec![
        (".gitignore", "*.lst\n"),
        ("README.md", "# Models\n"),
        ("mf6/ex-gwt/mf6gwf/mfsim.nam", "gwf"),
        ("mf6/ex-gwt/mf6gwf/input/wells.txt", "1 4 10 -5.0\n"),
        ("mf6/ex-gwt/mf6gwt/mfsim.nam", "gwt"),
        ("mf6/ex-gwt/notes.md", "of both"),
        ("mf6/test001a/.DS_Store", "x"),
        ("mf6/test001a/compare/x.dis", "x"),
        ("mf6/test001a/flow.HDS", "x"),
        ("mf6/test001a/flow.nam", "flow"),
        ("mf6/test001a/grösse 2.txt", "10 × 10\n"),
        ("mf6/test001a/input.lst/kept.txt", "a folder of that name"),
        ("mf6/test001a/mfsim.lst", "x"),
        ("mf6/test001a/mfsim.nam", "test001a"),
        ("other/mfsim.nam.txt", "x"),
    ]
}

/// The registry of [`tree`] below `mf6`, for source `mf6/test`.
fn expected() -> String {
    let line = |name: &str| {
        let tree = tree();
        let (_, text) = tree
            .iter()
            .find(|(path, _)| path.strip_prefix("mf6/") == Some(name))
            .unwrap();
        let digest: String = Sha256::digest(text)
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        format!(
            "\"{name}\" = {{ hash = \"sha256:{digest}\", size = {} }}\n",
            text.len()
        )
    };
    let files = [
        "ex-gwt/mf6gwf/input/wells.txt",
        "ex-gwt/mf6gwf/mfsim.nam",
        "ex-gwt/mf6gwt/mfsim.nam",
        "test001a/flow.nam",
        "test001a/grösse 2.txt",
        "test001a/input.lst/kept.txt",
        "test001a/mfsim.nam",
    ];
    format!(
        r#"# A registry of models; without its last line, '# end', it was cut short.
schema_version = "1.0"
root = "mf6"

[files]
{}
[models]
"mf6/test/ex-gwt/mf6gwf" = [
    "ex-gwt/mf6gwf/input/wells.txt",
    "ex-gwt/mf6gwf/mfsim.nam",
]
"mf6/test/ex-gwt/mf6gwt" = [
    "ex-gwt/mf6gwt/mfsim.nam",
]
"mf6/test/test001a" = [
    "test001a/flow.nam",
    "test001a/grösse 2.txt",
    "test001a/input.lst/kept.txt",
    "test001a/mfsim.nam",
]

[examples]
"mf6/test/ex-gwt" = [
    "mf6/test/ex-gwt/mf6gwf",
    "mf6/test/ex-gwt/mf6gwt",
]

# end
"#,
        files.map(line).concat()
    )
}
