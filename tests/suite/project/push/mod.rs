//! Pushing to OCI registries: what is sent, and what is not.

mod quirks;
mod real;

use std::path::PathBuf;

use modelrack::project::{
    AddOptions, Project, ProjectOptions, PublishOptions, PublishReport, PublishTarget,
};
use modelrack::{ManagerExt, ModelManager, Result};

use crate::support::bytes;
use crate::support::disk::write_files;
use crate::support::rack::{Rack, model_ref};

/// A machine that publishes a folder, and pulls.
struct Publisher {
    rack: Rack,
}

impl Publisher {
    /// With the files of a model.
    fn of<B: AsRef<[u8]>>(files: &[(&str, B)]) -> Self {
        let publisher = Self { rack: Rack::new() };
        publisher.write(files);
        publisher
    }

    fn write<B: AsRef<[u8]>>(&self, files: &[(&str, B)]) {
        let files: Vec<_> = files
            .iter()
            .map(|(name, bytes)| (*name, bytes.as_ref()))
            .collect();
        write_files(&self.folder(), &files);
    }

    fn folder(&self) -> PathBuf {
        self.rack.temp.path().join("model")
    }

    fn options(&self) -> PublishOptions {
        PublishOptions::default()
            .config(self.rack.bare_config())
            .environment(self.rack.environment())
    }

    /// Publishes the folder to `oci://…`.
    fn push(&self, to: &str) -> Result<PublishReport> {
        self.push_with(to, &self.options())
    }

    fn push_with(&self, to: &str, options: &PublishOptions) -> Result<PublishReport> {
        let target = PublishTarget::parse(to)?;
        Project::publish_files(
            &[self.folder()],
            &model_ref("models/tiny 1.0.0"),
            target,
            options,
        )
    }

    /// Publishes a project with the models `one` and `two`, which have the same weights.
    fn push_project(&self, to: &str) -> Vec<PublishReport> {
        let folder = self.rack.temp.path().join("project");
        let weights = bytes(200_000, 11);
        write_files(
            &folder,
            &[
                ("one/model.bin", &weights),
                ("one/README.md", b"# One\n"),
                ("two/model.bin", &weights),
                ("two/README.md", b"# Two\n"),
            ],
        );
        let mut project = Project::open(&folder, &ProjectOptions::default()).unwrap();
        let models = [folder.join("one"), folder.join("two")];
        let options = AddOptions::default().outputs(["incidence"]);
        project.add(&models, &options).unwrap();
        let target = PublishTarget::parse(to).unwrap();
        project.publish(&[], target, &self.options()).unwrap()
    }

    /// A manager without sources.
    fn manager(&self) -> ModelManager {
        self.rack.manager_of(self.rack.bare_config())
    }

    /// Pulls an address, and compares what came with the folder.
    #[track_caller]
    fn assert_pulled(&self, from: &str) {
        let report = self.manager().pull_model(from).unwrap();
        let own = format!(".{}/", crate::support::rack::APP);
        let mut there = crate::support::disk::files_below(&report.path);
        there.retain(|name, _| !name.starts_with(&own));
        assert!(
            there == crate::support::disk::files_below(&self.folder()),
            "{from}"
        );
    }
}

/// A file of each size that matters: nothing, a little, and more than a piece.
fn model() -> Vec<(&'static str, Vec<u8>)> {
    vec![
        ("README.md", b"# Tiny\n".to_vec()),
        ("config.json", b"{}".to_vec()),
        ("empty.txt", Vec::new()),
        ("weights/model.bin", bytes(33 << 20, 7)),
    ]
}
