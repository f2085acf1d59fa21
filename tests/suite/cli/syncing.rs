//! What a sync says while it runs, and in the end.

use std::sync::{Arc, Mutex};

use modelrack::cli::{Console, Mount, models_command, run};
use modelrack::progress::Step;
use modelrack::{
    Manager, ModelManager, ModelRef, Progress, ProgressEvent, PullOptions, SyncOptions,
};
use serde_json::json;

use super::{Ran, Sinks, run_line, run_words};
use crate::sources::repository::models::{ModelsToml, below, small_models};
use crate::support::forge::Forge;
use crate::support::rack::Rack;
use crate::support::registry::digest;
use crate::support::server::{Gate, Rule};

/// A chunked source `a`, one `b`, and a repository with a branch and a ref that does not exist.
struct Sources {
    rack: Rack,
    forge: Forge,
}

impl Sources {
    fn new() -> Self {
        let (rack, forge) = (Rack::new(), Forge::start());
        for source in ["a", "b"] {
            let index = json!({"g": {"m": {"v1": {
                "hash": digest(b"nothing"),
                "metadata": {"description": "x".repeat(300_000)},
            }}}});
            let index = index.to_string();
            rack.server.put(&format!("/{source}/models.json"), index);
        }
        let tree = below("mf6", &small_models());
        let registry = ModelsToml::of(&small_models()).root("mf6");
        let entry = (".registry/models.toml".to_owned(), registry.into());
        let tree = tree.into_iter().chain([entry]);
        forge.repo("o/models").commit("develop", tree);
        Self { rack, forge }
    }

    fn mount(&self) -> Mount {
        let (server, forge) = (self.rack.server.url(), self.forge.url());
        let sources = format!(
            "[sources.a]\nurl = \"{server}/a\"\n[sources.b]\nurl = \"{server}/b\"\n[sources.mf6]\n\
             repo = \"o/models\"\nserver = \"{forge}\"\nrefs = [\"develop\", \"gone\"]\n",
        );
        let environment = self.rack.environment().variable("NO_COLOR", "1");
        Mount::new(self.rack.bare_config().bootstrap(sources)).environment(environment)
    }

    fn run(&self, line: &str) -> Ran {
        run_line(&self.mount(), line)
    }

    /// Syncs `a` alone.
    fn steps(&self) -> Arc<Steps> {
        let config = format!("[sources.a]\nurl = \"{}/a\"\n", self.rack.server.url());
        let config = self.rack.bare_config().bootstrap(config);
        let environment = self.rack.environment();
        let manager = ModelManager::builder(config)
            .environment(environment)
            .build();
        let steps = Arc::new(Steps::default());
        let options = SyncOptions::default().progress(steps.clone());
        manager.sync(&options).unwrap();
        steps
    }
}

#[test]
fn each_registry_is_printed_as_soon_as_it_is_done() {
    let sources = Sources::new();
    let gate = Gate::new();
    let held = Rule::path("/a/models.json").hold(&gate);
    sources.rack.server.rule(held);
    let (console, out, err) = Console::captured();
    let mount = sources.mount().console(console);
    let code = std::thread::scope(|scope| {
        let matches = models_command(&mount).try_get_matches_from(["models", "sync"]);
        let sync = scope.spawn(move || run(&mount, &matches.unwrap()).code());
        // While the first is not.
        while !(out.text().contains("Synced b: 1 model\n")
            && out.text().contains("Synced mf6@develop (")
            && err.text().contains("Failed mf6@gone: "))
        {
            assert!(!sync.is_finished(), "{out:?} {err:?}");
            std::thread::yield_now();
        }
        gate.open();
        sync.join().unwrap()
    });
    let out = out.text();
    assert_eq!(code, 1);
    let end = "Synced a: 1 model\n3 synced, 1 failed\n";
    assert!(out.ends_with(end), "{out}");
    assert_eq!(out.matches("Synced").count(), 3, "{out}");
    assert_eq!(err.text().matches("Failed").count(), 1, "{err:?}");
}

#[test]
fn a_sync_ends_with_a_sum_and_programs_get_the_order_of_the_configuration() {
    let sources = Sources::new();
    sources.run("sync --source b").success();
    let last = |ran: &Ran| ran.out.lines().last().unwrap_or_default().to_owned();
    let ran = sources.run("sync");
    assert_eq!(last(&ran), "2 synced, 1 up to date, 1 failed", "{ran:?}");
    assert!(ran.out.contains("Skipped b: up to date\n"), "{ran:?}");
    // On a terminal, the lines take the place of those of progress.
    let ran = run_words(&sources.mount(), &["sync"], Sinks::Columns(80));
    assert_eq!(last(&ran), "3 up to date, 1 failed", "{ran:?}");
    let ran = sources.run("sync --quiet");
    assert_eq!(
        (ran.out.as_str(), ran.err.matches("Failed").count()),
        ("", 1)
    );
    let ran = sources.run("sync --source a");
    assert_eq!(ran.success(), "Skipped a: up to date\n", "one is no sum");
    let document = sources.run("sync --force --json").json();
    let named: Vec<&str> = document["synced"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| it["source"].as_str().unwrap())
        .collect();
    assert_eq!(named, ["a", "b", "mf6"]);
    assert_eq!(document["failed"][0]["ref"], "gone");
}

/// How far a sync was: what is done, of how many, and the name and bytes of one that is not.
type StepOf = (u64, u64, String, u64, u64);

/// Keeps how far a sync was, what it said was done, and what it waited for.
#[derive(Debug, Default)]
struct Steps(
    Mutex<Vec<StepOf>>,
    Mutex<Vec<String>>,
    Mutex<Vec<(u32, String)>>,
);

impl Progress for Steps {
    fn on_event(&self, _: &ModelRef, _: &ProgressEvent) {}

    fn on_step(&self, step: &Step<'_>) {
        let subject = step.subject.unwrap_or_default().to_owned();
        let step_of = (
            step.done,
            step.total,
            subject,
            step.bytes_done,
            step.total_bytes,
        );
        self.0.lock().unwrap().push(step_of);
        if let Some(failed) = step.retrying {
            let failed = (failed.attempt, failed.reason.to_owned());
            self.2.lock().unwrap().push(failed);
        }
        if let Some(done) = step.synced {
            let synced = done.synced.iter().map(|it| it.name.clone());
            let failed = done.failed.iter().map(|it| it.name.clone());
            self.1.lock().unwrap().extend(synced.chain(failed));
        }
    }
}

#[test]
fn programs_learn_how_much_of_a_registry_is_here_and_when_each_is_done() {
    let sources = Sources::new();
    let steps = sources.steps();
    let told = steps.0.lock().unwrap();
    assert_eq!(told[0], (0, 1, String::new(), 0, 0));
    let length = told[1].4;
    assert!(length > 300_000, "{told:?}");
    let bytes: Vec<u64> = told.iter().map(|step| step.3).collect();
    let arrived = &bytes[1..bytes.len() - 1];
    assert!(arrived.is_sorted() && arrived.len() > 1, "{bytes:?}");
    assert_eq!(told[told.len() - 2], (0, 1, "a".to_owned(), length, length));
    assert_eq!(told[told.len() - 1], (1, 1, String::new(), 0, 0));
    assert_eq!(*steps.1.lock().unwrap(), ["a"]);
}

#[test]
fn programs_learn_what_a_sync_waits_for() {
    let sources = Sources::new();
    let failing = Rule::path("/a/models.json").times(1).status(503);
    sources.rack.server.rule(failing);
    let steps = sources.steps();
    let waits = steps.2.lock().unwrap();
    assert_eq!(waits.len(), 1, "{waits:?}");
    assert_eq!(waits[0].0, 2);
    assert!(waits[0].1.contains("status 503"), "{waits:?}");
}

#[test]
fn programs_learn_what_a_look_up_waits_for() {
    let rack = Rack::with_model();
    let failing = Rule::path("/models.json").times(1).status(503);
    for is_plan in [true, false] {
        rack.server.rule(failing.clone());
        let manager = rack.manager();
        let steps = Arc::new(Steps::default());
        let options = PullOptions::default().progress(steps.clone());
        let address = "g/m v1".parse().unwrap();
        match is_plan {
            true => drop(manager.plan_pull(&address, &options).unwrap()),
            false => drop(manager.pull(&address, &options).unwrap()),
        }
        assert_eq!(
            *steps.0.lock().unwrap(),
            [(0, 1, "g/m v1".to_owned(), 0, 0)]
        );
        let waits = steps.2.lock().unwrap();
        assert_eq!(waits.len(), 1, "{waits:?}");
        assert_eq!(waits[0].0, 2);
        assert!(waits[0].1.contains("status 503"), "{waits:?}");
    }
}
