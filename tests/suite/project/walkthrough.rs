//! A publisher's workflow, from a folder of files to pulled models.

use std::fs;

use modelrack::project::{AddOptions, PublishOptions, ResyncOptions};
use modelrack::transport::Url;
use modelrack::{Manager, PullOptions};

use super::folder::{AGENT, Folder, SIR, TARGET, ids, weights};
use crate::support::address;
use crate::support::rack::Rack;

#[test]
fn models_are_registered_synced_published_and_pulled() {
    let folder = Folder::with(&[
        ("README.md", b"# A project\n".as_slice()),
        ("models/agent.md", AGENT.as_bytes()),
        ("models/sir.py", SIR.as_bytes()),
        ("models/tiny.safetensors", &weights(&[4, 2])),
        ("targets/incidence.py", TARGET.as_bytes()),
        ("data/observed.csv", b"day,cases\n1,3\n"),
    ]);
    // Registered, listed, found and shown.
    let report = folder.add_with(&["."], &AddOptions::default().target_set("main"));
    assert_eq!(ids(&report), ["agent", "sir", "tiny", "incidence_target"]);
    let project = folder.project();
    let found = project.search("pomdp");
    assert_eq!(
        found.iter().map(|model| model.id).collect::<Vec<_>>(),
        ["agent"]
    );
    let (agent, version) = project.registry().current("agent").unwrap();
    assert_eq!(agent.name, "Active Inference POMDP Agent");
    assert_eq!(version.metadata["variables"], 13);
    assert_eq!(version.metadata["connections"], 11);
    let clean = ["note unused_output sir: No target uses output 'prevalence'"];
    assert_eq!(folder.findings(), clean);

    // The function is renamed, an output is changed, the data is edited.
    folder.edit(
        "targets/incidence.py",
        "def incidence_target",
        "def incidence_replicate_mean_target",
    );
    folder.edit("models/sir.py", "\"incidence\"", "\"cases\"");
    folder.edit("data/observed.csv", "1,3", "1,4");
    let findings = folder.findings();
    for expected in [
        "error missing_symbol incidence_target: Function 'incidence_target' not found in targets/incidence.py",
        "warning stale sir: Registered outputs are 'incidence', 'prevalence', but the code has 'cases', 'prevalence'",
        "warning stale incidence_target: Data changed since it was registered: data/observed.csv",
    ] {
        assert!(
            findings.iter().any(|line| line == expected),
            "{findings:#?}"
        );
    }
    let registry = tempfile::tempdir().unwrap();
    let publish = || {
        folder
            .project()
            .publish(&[], registry.path(), &PublishOptions::default())
    };
    assert_eq!(publish().unwrap_err().code(), "NOT_PUBLISHABLE");
    assert_eq!(fs::read_dir(registry.path()).unwrap().count(), 0);

    // The registry is synced, first as a dry run; the target then has to be changed for the model.
    let dry = folder.plan_sync(&ResyncOptions::default());
    assert_eq!(
        (dry.difference.changed.len(), dry.difference.dropped.len()),
        (2, 0)
    );
    assert_eq!(folder.findings(), findings);
    let synced = folder.sync(&ResyncOptions::default());
    assert_eq!(synced.difference, dry.difference);
    let left = folder.findings();
    assert!(
        left[0].contains("Target expects model output 'incidence' but no model provides it"),
        "{left:#?}"
    );
    assert_eq!(publish().unwrap_err().code(), "NOT_PUBLISHABLE");
    folder.edit("targets/incidence.py", "\"incidence\"", "\"cases\"");
    assert!(folder.sync(&ResyncOptions::default()).applied);
    assert_eq!(folder.findings(), clean);
    assert_eq!(folder.status().errors, 0);

    // Published, and pulled on another machine.
    assert_eq!(publish().unwrap().len(), 3);
    let rack = Rack::new();
    let url = Url::from_path(registry.path()).unwrap();
    let manager = rack.manager_of(rack.bare_config().registry_url(url.to_string()));
    for (model, name) in [
        ("models/agent 1.0.0", "models/agent.md"),
        ("models/sir 1.0.1", "models/sir.py"),
        ("models/tiny 1.0.0", "models/tiny.safetensors"),
    ] {
        manager
            .pull(&address(model), &PullOptions::default())
            .unwrap();
        let file = name.rsplit('/').next().unwrap();
        rack.assert_files(model, &[(file, fs::read(folder.path(name)).unwrap())]);
    }
}
