//! How far operations say that they are, and how they are cancelled.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use modelrack::progress::{CancelToken, Step};
use modelrack::project::{AddOptions, Chunking, MakeOptions, MakeOrigin, Project, PublishOptions};
use modelrack::project::{RepositoryRef, StatusOptions};
use modelrack::{ModelRef, Progress, ProgressEvent};

use super::folder::{Folder, gnn};
use crate::support::forge::{Forge, zip};
use crate::support::rack::{CHUNK, Rack, model_ref};
use crate::support::{bytes, disk::write_files};

/// Keeps the highest counts of each task and subject: things of all, and bytes of all.
#[derive(Debug, Default)]
struct Steps(Mutex<BTreeMap<String, [u64; 4]>>);

impl Progress for Steps {
    fn on_event(&self, _: &ModelRef, _: &ProgressEvent) {}

    fn on_step(&self, step: &Step<'_>) {
        let subject = step.subject.unwrap_or_default();
        let name = format!("{} {subject}", step.task.as_str());
        let counts = [step.done, step.total, step.bytes_done, step.total_bytes];
        let mut steps = self.0.lock().unwrap();
        let highest = steps.entry(name.trim_end().to_owned()).or_default();
        *highest = counts.max(*highest);
    }
}

impl Steps {
    fn all(&self) -> Vec<(String, [u64; 4])> {
        let steps = std::mem::take(&mut *self.0.lock().unwrap());
        steps.into_iter().collect()
    }
}

fn step(name: &str, counts: [u64; 4]) -> (String, [u64; 4]) {
    (name.to_owned(), counts)
}

#[test]
fn files_are_counted_while_they_are_hashed() {
    let names: Vec<String> = (0..20).map(|number| format!("m/{number}.md")).collect();
    let texts: Vec<(&str, String)> = names.iter().map(|name| (&**name, gnn(name, ""))).collect();
    let folder = Folder::with(&texts);
    let bytes: u64 = texts.iter().map(|(_, text)| text.len() as u64).sum();
    let steps = Arc::new(Steps::default());
    let options = AddOptions::default().progress(steps.clone());
    assert_eq!(folder.add_with(&["m"], &options).registered.len(), 20);
    let hashed = [step("hashing", [20, 20, bytes, 0])];
    assert_eq!(steps.all(), hashed);
    let deep = StatusOptions::default().deep(true).progress(steps.clone());
    folder.project().status(&deep).unwrap();
    assert_eq!(steps.all(), hashed);
}

#[test]
fn hashing_can_be_cancelled() {
    let folder = Folder::with(&[("m/a.md", gnn("a", ""))]);
    let cancel = CancelToken::new();
    cancel.cancel();
    let before = folder.snapshot();
    let options = AddOptions::default().cancel(cancel);
    let error = folder.try_add(&["m"], &options).unwrap_err();
    assert_eq!(error.code(), "CANCELLED");
    assert_eq!(folder.snapshot(), before);
}

#[test]
fn a_registry_that_is_made_says_how_much_has_come_and_how_many_files_are_hashed() {
    let (rack, forge) = (Rack::new(), Forge::start());
    let files = [("a/mfsim.nam", "one"), ("b/mfsim.nam", "three")];
    let zip = zip(&files);
    let bytes = zip.len() as u64;
    let repo = forge.repo("o/models");
    repo.commit("develop", files);
    repo.release("v1", [("all.zip", zip)]);
    let environment = rack.environment();
    let environment = environment.variable("GITHUB_SERVER_URL", forge.url());
    let steps = Arc::new(Steps::default());
    let make = |origin| {
        let options = MakeOptions::new(rack.bare_config(), origin)
            .environment(environment.clone())
            .output(rack.temp.path().join("output"))
            .progress(steps.clone());
        Project::make(&options).unwrap();
        steps.all()
    };
    let asset = MakeOrigin::Asset {
        repository: RepositoryRef::new("o/models", "v1"),
        file: "all.zip".to_owned(),
        path: String::new(),
    };
    assert_eq!(
        make(asset),
        [
            step("downloading all.zip", [0, 1, bytes, bytes]),
            step("hashing", [2, 2, 8, 0]),
            step("reading all.zip", [0, 1, 0, 0]),
        ]
    );
    let path = rack.temp.path().join("work");
    write_files(&path, &files.map(|(name, text)| (name, text.as_bytes())));
    let shown = path.display().to_string();
    let repository = None;
    assert_eq!(
        make(MakeOrigin::Folder { path, repository }),
        [
            step("hashing", [2, 2, 8, 0]),
            step(&format!("reading {shown}"), [0, 1, 0, 0]),
        ]
    );
}

#[test]
fn what_is_published_is_counted_in_chunks_and_bytes() {
    let rack = Rack::new();
    let folder = Folder::with(&[("large", bytes(3 * CHUNK, 1)), ("small", bytes(10, 2))]);
    let steps = Arc::new(Steps::default());
    let options = PublishOptions::default()
        .chunk_bytes(CHUNK as u64)
        .chunking(Chunking::Fixed)
        .progress(steps.clone());
    let paths = [folder.root().to_owned()];
    Project::publish_files(&paths, &model_ref("g/m v1"), rack.registry(), &options).unwrap();
    let all = 3 * CHUNK as u64 + 10;
    // The files are hashed on the way.
    assert_eq!(steps.all(), [step("chunking g/m v1", [4, 4, all, all])]);
    // Where the content says, how many there are is known in the end.
    let by_content = options.clone().chunking(Chunking::Content);
    let model = model_ref("g/n v1");
    let report = Project::publish_files(&paths, &model, rack.registry(), &by_content).unwrap();
    let chunks = report.chunks as u64;
    assert_eq!(
        steps.all(),
        [step("chunking g/n v1", [chunks, chunks, all, all])]
    );
    folder.add(&["large"]);
    let project = folder.project();
    project.publish(&[], rack.registry(), &options).unwrap();
    let names: Vec<String> = steps.all().into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["chunking models/large 1.0.0", "hashing"]);
}
