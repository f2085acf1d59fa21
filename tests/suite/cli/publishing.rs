//! What a project has registered, as those see it who pull it.

use modelrack::cli::Mount;

use super::workshop::Workshop;
use super::{models, run_line};
use crate::support::disk::files_below;
use crate::support::forge::Forge;

#[test]
fn what_is_published_can_be_pulled_and_the_project_stays_as_it_was() {
    let workshop = Workshop::registered();
    let public = workshop.machine.registry();
    let publish = |line: &str| {
        let before = files_below(&workshop.root());
        let ran = workshop.run(&format!("publish {line} --to {}", public.display()));
        assert_eq!(files_below(&workshop.root()), before, "{line}");
        ran.success()
    };
    publish("sir");
    assert_eq!(
        models(&workshop.machine, "list --remote --quiet").success(),
        "models/sir 1.0.0\n"
    );
    publish("--alias latest --group ours");
    models(&workshop.machine, "pull ours/tiny latest").success();
    workshop.machine.assert_files(
        "ours/tiny latest",
        &[
            ("labels.txt", b"zero\none\n".to_vec()),
            ("w.bin", vec![7; 3000]),
        ],
    );
    models(&workshop.machine, "pull models/sir").success();
    let remote = models(&workshop.machine, "info ours/agent --remote --json").json();
    assert_eq!(remote["metadata"]["name"], "Agent");
    // A new version comes beside the old one.
    workshop.edit("models/sir.py", "recovered", "removed");
    workshop.run("sync").success();
    publish("sir");
    models(&workshop.machine, "pull models/sir 1.0.1").success();
    let found = models(&workshop.machine, "search removed --remote --json").json();
    assert_eq!(found["models"][0]["version"], "1.0.1");
}

#[test]
fn the_registry_of_a_project_is_one_of_a_repository_as_it_is() {
    let workshop = Workshop::registered();
    let forge = Forge::start();
    let commit = || {
        let files = files_below(&workshop.root());
        forge.repo("us/models").commit("main", files)
    };
    commit();
    let config = workshop.machine.bare_config();
    let config = config.bootstrap("[sources.ours]\nrepo = \"us/models\"\nrefs = [\"main\"]\n");
    let environment = workshop.machine.environment();
    let environment = environment.variable("GITHUB_SERVER_URL", forge.url());
    let mount = Mount::new(config).environment(environment);
    run_line(&mount, "sync").success();
    let list = run_line(&mount, "list --remote --quiet").success();
    assert_eq!(list, "ours/agent main\nours/sir main\nours/tiny main\n");
    run_line(&mount, "pull ours/tiny").success();
    let files = workshop.machine.files_of("ours/tiny main");
    let sizes: Vec<_> = files
        .iter()
        .map(|(name, bytes)| (name.as_str(), bytes.len()))
        .collect();
    assert_eq!(sizes, [("labels.txt", 9), ("w.bin", 3000)]);
    run_line(&mount, "verify").success();
    // What is registered next is there after the next commit.
    workshop.edit("weights/labels.txt", "one", "two");
    workshop.run("sync").success();
    commit();
    run_line(&mount, "sync").success();
    run_line(&mount, "update --apply").success();
    let files = workshop.machine.files_of("ours/tiny main");
    assert_eq!(files[0].1, b"zero\ntwo\n");
}
