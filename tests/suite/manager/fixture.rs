//! One model installed and another to be pulled from a server that fails.

use modelrack::config::HttpConfig;
use modelrack::{Error, Manager, PullOptions};

use crate::support::address;
use crate::support::rack::{Rack, chunks_but, quick_http, sample};
use crate::support::registry::Published;
use crate::support::server::Rule;

/// Which requests a fault is about.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Place {
    Index,
    Manifest,
    Chunk,
}

pub(super) const PLACES: [Place; 3] = [Place::Index, Place::Manifest, Place::Chunk];

/// A rack with `g/m v1` installed and `g/m v2`, which shares nothing with it, to be pulled.
pub(super) struct Fixture {
    pub(super) rack: Rack,
    pub(super) v2: Published,
}

impl Fixture {
    pub(super) fn new() -> Self {
        let rack = Rack::with_model();
        rack.pull("g/m v1").unwrap();
        let v2 = rack.publish("g/m v2", &[("a.bin", crate::support::bytes(2500, 9))]);
        rack.server.reset_counts();
        Self { rack, v2 }
    }

    /// A rule for the requests of one place.
    pub(super) fn at(&self, place: Place) -> Rule {
        match place {
            Place::Index => Rule::path("/models.json"),
            Place::Manifest => Rule::path(format!("/data/{}", self.v2.manifest_digest)),
            Place::Chunk => chunks_but(&[&self.v2]),
        }
    }

    pub(super) fn requests_at(&self, place: Place) -> usize {
        match place {
            Place::Index => self.rack.server.count("/models.json"),
            Place::Manifest => self
                .rack
                .server
                .count(&format!("/data/{}", self.v2.manifest_digest)),
            Place::Chunk => self.rack.chunk_requests(&[&self.v2]).len(),
        }
    }

    pub(super) fn pull(&self) -> Result<modelrack::PullReport, Error> {
        self.pull_with(quick_http(), PullOptions::default())
    }

    pub(super) fn pull_with(
        &self,
        http: HttpConfig,
        options: PullOptions,
    ) -> Result<modelrack::PullReport, Error> {
        let manager = self.rack.manager_of(self.rack.config_of(http));
        manager.pull(&address("g/m v2"), &options.concurrency(1))
    }

    /// What was installed is, what was not is not, and a pull without the fault still works.
    #[track_caller]
    pub(super) fn assert_nothing_lost(&self) {
        assert_eq!(self.rack.listed().0, ["g/m v1"]);
        self.rack.assert_files("g/m v1", &sample());
        assert!(!self.rack.dir_of("g/m v2").exists());
        self.rack.server.clear_rules();
        self.pull().unwrap();
        assert_eq!(
            self.rack.listed(),
            (vec!["g/m v1".into(), "g/m v2".into()], vec![])
        );
        assert!(self.rack.cache().is_empty());
    }
}

pub(super) type Spoil = fn(Rule) -> Rule;
