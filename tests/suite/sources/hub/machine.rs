//! A store whose one source is a Hub, and the model that most tests pull.

use modelrack::installed::InstalledModel;
use modelrack::{
    Config, Environment, ListOptions, Manager, ModelManager, PullOptions, PullReport, Result,
};

use crate::support::hub::{Hub, HubRepo};
use crate::support::rack::Rack;
use crate::support::{address, bytes};

/// The model of most tests.
pub(crate) const WHISPER: &str = "hf/openai/whisper-tiny";

/// A store whose one source is a Hub, called `hf`.
pub(crate) struct Machine {
    pub(crate) hub: Hub,
    pub(crate) rack: Rack,
}

impl Machine {
    /// With an empty Hub.
    pub(crate) fn new() -> Self {
        Self::at(Hub::start())
    }

    pub(crate) fn at(hub: Hub) -> Self {
        let rack = Rack::new();
        Self { hub, rack }
    }

    /// With `openai/whisper-tiny`, which has the files of [`whisper`]; returns its repository and commit, too.
    pub(crate) fn with_whisper() -> (Self, HubRepo, String) {
        let machine = Self::new();
        let repo = machine.hub.repo("openai/whisper-tiny");
        let commit = repo.commit("main", whisper());
        let task = "automatic-speech-recognition".to_owned();
        repo.describe(|facts| facts.pipeline_tag = Some(task));
        (machine, repo, commit)
    }

    pub(crate) fn config(&self) -> Config {
        let toml = format!("[sources.hf]\nhub = \"{}\"\n", self.hub.url());
        self.rack.bare_config().bootstrap(toml)
    }

    pub(crate) fn manager(&self) -> ModelManager {
        self.manager_in(self.rack.environment())
    }

    pub(crate) fn manager_in(&self, environment: Environment) -> ModelManager {
        ModelManager::builder(self.config())
            .environment(environment)
            .build()
    }

    pub(crate) fn manager_with_token(&self, token: &str) -> ModelManager {
        self.manager_in(self.rack.environment().variable("HF_TOKEN", token))
    }

    /// Pulls with a manager of its own, one part at a time.
    pub(crate) fn pull(&self, model: &str) -> Result<PullReport> {
        let options = PullOptions::default().concurrency(1);
        self.manager().pull(&address(model), &options)
    }

    pub(crate) fn installed(&self) -> Vec<InstalledModel> {
        let listing = self.manager().list(&ListOptions::default()).unwrap();
        listing.models
    }

    /// The paths of the requests since the last reset, without queries, in order of arrival; those for large files as
    /// `cdn`.
    pub(crate) fn requests(&self) -> Vec<String> {
        let requests = self.hub.server().requests().into_iter();
        let shown = requests.map(|request| match request.path_only() {
            path if path.starts_with("/cdn/") => "cdn".to_owned(),
            path => path.to_owned(),
        });
        shown.collect()
    }

    /// [`Machine::requests`], of which there were none twice, in the order of names.
    #[track_caller]
    pub(crate) fn assert_requests(&self, expected: &[&str]) {
        let mut requests = self.requests();
        requests.sort();
        let mut expected: Vec<&str> = expected.to_vec();
        expected.sort_unstable();
        assert_eq!(requests, expected);
    }
}

/// Two small files and two large ones.
pub(crate) fn whisper() -> Vec<(&'static str, Vec<u8>)> {
    vec![
        ("README.md", b"# Whisper\n".to_vec()),
        ("config.json", b"{\"layers\": 4}".to_vec()),
        ("model.safetensors", bytes(3000, 1)),
        ("onnx/model.onnx", bytes(2000, 2)),
    ]
}

/// The bytes of [`whisper`].
pub(crate) const WHISPER_BYTES: u64 = 10 + 13 + 3000 + 2000;
