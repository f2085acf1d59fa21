//! A project of a publisher, on the machine of a rack.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use crate::cli::program::rack as program;
use crate::cli::{Ran, Sinks, mount, run_words};
use crate::support::disk::write_files;
use crate::support::rack::Rack;

pub(crate) const SIR: &str = r#"from modelops_calabaria import BaseModel, model_output

class SIR(BaseModel):
    """Susceptible, infected, recovered."""

    @model_output("incidence")
    def incidence(self, raw, seed):
        return raw

    @model_output("prevalence")
    def prevalence(self, raw, seed):
        return raw
"#;

pub(crate) const TARGET: &str = r#"from modelops_calabaria import calibration_target

@calibration_target(model_output="incidence", data={"observed": "data/observed.csv"})
def incidence_target(data_paths):
    return None
"#;

/// A model of which a folder may have many.
pub(crate) const AGENT: &str = "\
# GNN model
## ModelName
Agent
## ModelAnnotation
Active inference in a small world.
## StateSpaceBlock
A[3,3]
B[3]
## Connections
A>B
";

/// A folder with a model of each kind and a target.
pub(crate) struct Workshop {
    pub(crate) machine: Rack,
}

impl Workshop {
    /// Nothing of it is registered.
    pub(crate) fn new() -> Self {
        let workshop = Self {
            machine: Rack::new(),
        };
        let files: [(&str, &[u8]); 6] = [
            ("models/sir.py", SIR.as_bytes()),
            ("models/agent.md", AGENT.as_bytes()),
            ("targets/incidence.py", TARGET.as_bytes()),
            ("data/observed.csv", b"1,2\n"),
            ("weights/labels.txt", b"zero\none\n"),
            ("weights/w.bin", &[7; 3000]),
        ];
        write_files(&workshop.root(), &files);
        workshop
    }

    /// With its models and its target registered.
    pub(crate) fn registered() -> Self {
        let workshop = Self::new();
        workshop.run("add {p}/models {p}/targets").success();
        workshop
            .run("add {p}/weights --id tiny --type embedding")
            .success();
        workshop
    }

    pub(crate) fn root(&self) -> PathBuf {
        self.machine.temp.path().join("project")
    }

    pub(crate) fn path(&self, below: &str) -> PathBuf {
        let parts = below.split('/');
        parts.fold(self.root(), |path, part| path.join(part))
    }

    /// Replaces text in a file.
    #[track_caller]
    pub(crate) fn edit(&self, below: &str, from: &str, to: &str) {
        let path = self.path(below);
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.contains(from), "{below}: {text}");
        fs::write(path, text.replace(from, to)).unwrap();
    }

    /// The bytes of the registry.
    pub(crate) fn text(&self) -> String {
        fs::read_to_string(self.path(".registry/models.toml")).unwrap()
    }

    /// Runs `registry <line>` for the project; `{p}` is its folder, and `{temp}` the one that has it.
    pub(crate) fn run(&self, line: &str) -> Ran {
        self.run_at(line, Sinks::Captured)
    }

    pub(crate) fn run_at(&self, line: &str, sinks: Sinks) -> Ran {
        let words: Vec<&str> = line.split(' ').collect();
        self.run_words(&words, sinks)
    }

    pub(crate) fn run_words(&self, words: &[&str], sinks: Sinks) -> Ran {
        let (root, temp) = (self.root(), self.machine.temp.path());
        let whole = ["registry"]
            .iter()
            .chain(words)
            .chain(&["--project", "{p}"]);
        let words: Vec<String> = whole
            .map(|word| {
                let word = word.replace("{p}", root.to_str().unwrap());
                word.replace("{temp}", temp.to_str().unwrap())
            })
            .collect();
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        run_words(&mount(&self.machine), &words, sinks)
    }

    /// A process of `registry <line>`, run from a folder of the project.
    pub(crate) fn process(&self, below: &str, line: &str) -> Command {
        let words: Vec<&str> = line.split(' ').collect();
        self.process_of(below, &words)
    }

    pub(crate) fn process_of(&self, below: &str, words: &[&str]) -> Command {
        let mut command = program(&self.machine, "registry");
        command.args(words).current_dir(self.path(below));
        command
    }
}
