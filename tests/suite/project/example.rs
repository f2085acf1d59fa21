//! The project in `examples/`: its registry matches its files, and its models can be pulled from the repository.

use std::path::Path;

use modelrack::project::{Project, ResyncOptions, Severity, StatusOptions};
use modelrack::{Manager, PullOptions, SearchOptions, SyncOptions};
use tempfile::TempDir;

use crate::support::address;
use crate::support::disk::{files_below, write_files};
use crate::support::forge::Forge;
use crate::support::rack::Rack;

/// Its path in its repository.
const FOLDER: &str = "examples/project";

fn files() -> Vec<(String, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(FOLDER);
    files_below(&folder).into_iter().collect()
}

#[test]
fn the_example_registry_matches_its_files() {
    let folder = TempDir::new().unwrap();
    let files = files();
    let named: Vec<(&str, &[u8])> = files.iter().map(|(n, b)| (n.as_str(), &**b)).collect();
    write_files(folder.path(), &named);
    let mut project = Project::open(folder.path(), &Default::default()).unwrap();
    let report = project.status(&StatusOptions::default().deep(true));
    let mut findings = report.unwrap().findings;
    findings.retain(|finding| finding.severity != Severity::Note);
    assert_eq!(findings, []);
    let report = project.resync(&ResyncOptions::default()).unwrap();
    assert!(report.difference.is_empty(), "{:?}", report.difference);
    assert_eq!(project.registry().entries.len(), 3);
    assert_eq!(project.registry().targets.len(), 1);
    let metadata = &project
        .registry()
        .current("actinf_pomdp_agent")
        .unwrap()
        .1
        .metadata;
    assert_eq!(
        (&metadata["variables"], &metadata["connections"]),
        (&13.into(), &11.into())
    );
}

#[test]
fn registered_models_can_be_found_and_pulled() {
    let (rack, forge) = (Rack::new(), Forge::start());
    let files = files();
    let below = |(name, bytes): &(String, Vec<u8>)| (format!("{FOLDER}/{name}"), bytes.clone());
    forge
        .repo("o/epidemic")
        .commit("main", files.iter().map(below));
    let source = format!(
        "[sources.epi]\nrepo = \"o/epidemic\"\nserver = \"{}\"\nregistry_path = \"{FOLDER}/.registry\"\n",
        forge.url()
    );
    let manager = rack.manager_of(rack.bare_config().bootstrap(source));
    manager.sync(&SyncOptions::default()).unwrap();
    let options = SearchOptions::default().remote(true);
    let found = manager.search("compartments", &options).unwrap();
    let [sir] = found.remote.as_slice() else {
        panic!("{found:?}");
    };
    assert_eq!(sir.model.to_string(), "epi/sir main");
    let facts = sir.metadata.facts();
    assert_eq!(facts.model_type.as_deref(), Some("epidemiology"));
    manager
        .pull(&address("epi/sir@main"), &PullOptions::default())
        .unwrap();
    let (mut expected, of_model) = (files, ["calibration.py", "models/sir.py"]);
    expected.retain(|(name, _)| of_model.contains(&name.as_str()));
    assert_eq!(rack.files_of("epi/sir main"), expected);
}
