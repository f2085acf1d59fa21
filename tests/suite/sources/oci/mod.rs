//! OCI registries: a tag is resolved to a digest once, and everything comes from that.

mod access;
mod admission;
mod hostile;
mod layouts;
mod listing;
mod locks;
mod mirroring;
mod naming;
mod pulling;
mod quirks;
mod real;
mod refusing;
mod requests;
mod reuse;
mod tars;
mod updating;
mod verbatim;

use modelrack::cli::Mount;
use modelrack::{Config, Manager, ModelManager, PullOptions, PullReport, Result};

use crate::support::oci::{Artifact, Registry};
use crate::support::rack::Rack;
use crate::support::{address, bytes};

/// The model of most tests, and the files that it has.
const LLAMA: &str = "acme/llama";

/// A store whose one source is a registry, called `oci`.
struct Machine {
    registry: Registry,
    rack: Rack,
}

impl Machine {
    fn new() -> Self {
        let registry = Registry::start();
        let rack = Rack::new();
        Self { registry, rack }
    }

    /// With `acme/llama:q4`; returns the digest of its manifest, too.
    fn with_llama() -> (Self, String) {
        let machine = Self::new();
        let digest = machine
            .registry
            .push(LLAMA, "q4", &Artifact::model_pack(&llama()));
        (machine, digest)
    }

    fn config(&self) -> Config {
        let toml = format!("[sources.oci]\noci = \"{}\"\n", self.registry.url());
        self.rack.bare_config().bootstrap(toml)
    }

    fn manager(&self) -> ModelManager {
        self.rack.manager_of(self.config())
    }

    /// A manager that no source is configured for.
    fn bare_manager(&self) -> ModelManager {
        self.rack.manager_of(self.rack.bare_config())
    }

    fn mount(&self) -> Mount {
        Mount::new(self.config()).environment(self.rack.environment())
    }

    /// Pulls with a manager of its own, one part at a time.
    fn pull(&self, model: &str) -> Result<PullReport> {
        let options = PullOptions::default().concurrency(1);
        self.manager().pull(&address(model), &options)
    }

    /// The requests since the last reset, and resets.
    fn requests(&self) -> Vec<String> {
        let requests = self.registry.requests();
        self.registry.server().reset_counts();
        requests
    }

    #[track_caller]
    fn assert_llama_installed(&self, model: &str) {
        self.rack.assert_files(model, &llama());
        assert_eq!(self.rack.cache(), Vec::<String>::new());
    }
}

/// A small file, and two that are larger.
fn llama() -> Vec<(&'static str, Vec<u8>)> {
    vec![
        ("README.md", b"# Llama\n".to_vec()),
        ("model.gguf", bytes(30_000, 1)),
        ("onnx/model.onnx", bytes(20_000, 2)),
    ]
}
