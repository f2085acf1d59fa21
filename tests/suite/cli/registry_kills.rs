//! Publishing and mirroring, killed at one request after the other: the index names only what is there, and the next run sends
//! only what is not.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use modelrack::{Manager, ModelManager, PullOptions};

use super::program::{Running, finish, rack as program};
use crate::support::disk::{files_below, names_in};
use crate::support::oci::{Artifact, Registry};
use crate::support::rack::Rack;
use crate::support::registry::assert_sound;
use crate::support::s3::{BUCKET, S3};
use crate::support::server::{Rule, Server};
use crate::support::{PATIENCE, address, bytes};

/// Enough for more requests than [`LEAST`].
const CHUNKS: usize = 20;
/// At how many requests a process is killed at least.
const LEAST: usize = 20;
/// The key of the store.
const KEY: (&str, &str) = ("AKIDTEST", "s3cret/of+the/tests");

fn files(number: usize) -> Vec<(&'static str, Vec<u8>)> {
    vec![
        ("config.json", format!("{{\"v\": {number}}}").into_bytes()),
        ("model.bin", bytes(CHUNKS * 1024, number as u64)),
    ]
}

/// Kills a process once this many requests have come to these servers, and waits until none of them goes on with one; returns
/// whether it was still running.
fn kill_at(command: Command, request: usize, servers: &[&Server]) -> bool {
    let running = Running::start(command);
    let seen = Arc::new(AtomicUsize::new(0));
    for server in servers {
        let (alarm, seen) = (running.alarm(), Arc::clone(&seen));
        let is_due = Rule::when(move |_| seen.fetch_add(1, Relaxed) + 1 == request);
        let wake = move || {
            let _ = alarm.send(());
        };
        server.rule(is_due.on_request(wake).stall());
    }
    running.wait();
    let (_, killed) = running.kill();
    for server in servers {
        assert!(server.hang_up(PATIENCE));
        server.clear_rules();
    }
    killed
}

/// A machine with a bucket that only a key opens.
struct Bucket {
    machine: Rack,
    store: S3,
}

impl Bucket {
    fn new() -> Self {
        let store = S3::start().with_key(KEY.0, KEY.1);
        let machine = Rack::new();
        Self { machine, store }
    }

    fn variables(&self) -> [(&'static str, String); 4] {
        [
            ("AWS_ENDPOINT_URL_S3", self.store.server.url()),
            ("AWS_ACCESS_KEY_ID", KEY.0.into()),
            ("AWS_SECRET_ACCESS_KEY", KEY.1.into()),
            ("AWS_EC2_METADATA_DISABLED", "true".into()),
        ]
    }

    fn command(&self, line: &str) -> Command {
        let mut command = program(&self.machine, &format!("{line} --to s3://{BUCKET}/reg"));
        command.envs(self.variables());
        command
    }

    fn read(&self, path: &str) -> Option<Vec<u8>> {
        let key = format!("reg/{path}");
        let found = self.store.change(|state| state.objects.get(&key).cloned());
        found.map(|bytes| bytes.to_vec())
    }

    /// How many requests wrote something of a registry's data, and how many were refused since it is there.
    fn written_and_refused(&self) -> (usize, usize) {
        let requests = self.store.server.requests().into_iter();
        let puts = requests.filter(|it| it.method == "PUT" && it.path.contains("/data/"));
        let (written, refused): (Vec<_>, Vec<_>) = puts.partition(|it| it.status == 200);
        (written.len(), refused.len())
    }

    fn data(&self) -> usize {
        let is_data = |key: &&String| key.starts_with("reg/data/");
        self.store
            .change(|state| state.objects.keys().filter(is_data).count())
    }

    /// Kills the command of each version, which `prepare` makes, at one request more than that of the version before, until
    /// one ends by itself; returns how many there were.
    fn kill_at_each(&self, prepare: impl Fn(usize) -> String) -> usize {
        let servers = [&self.store.server, &self.machine.server];
        for number in 1.. {
            let line = prepare(number);
            let killed = kill_at(self.command(&line), number, &servers);
            // No version is lost, and the new one is not there before it is whole.
            let names = assert_sound(|path| self.read(path));
            let is_there = names.contains(&format!("g/m v{number}"));
            assert_eq!(names.len(), number - usize::from(!is_there), "{names:?}");
            if !killed {
                assert!(number > LEAST && is_there, "{number}");
                return number;
            }
            let before = self.data();
            self.store.server.reset_counts();
            let ran = finish(self.command(&line));
            assert_eq!(ran.code, 0, "{number}: {ran:?}");
            // What is refused is the question whether the store honours conditions, which nobody asks if all is done.
            let (written, refused) = self.written_and_refused();
            assert_eq!(written, self.data() - before, "{number}");
            assert_eq!(refused, usize::from(!is_there), "{number}");
            assert_eq!(assert_sound(|path| self.read(path)).len(), number);
        }
        unreachable!("a process ends by itself at last");
    }

    /// Pulls all versions on another machine.
    fn pull_all(&self, versions: usize) {
        let other = Rack::new();
        let environment = self
            .variables()
            .iter()
            .fold(other.environment(), |environment, (name, value)| {
                environment.variable(name, value)
            });
        let toml = format!("[sources.s]\nurl = \"s3://{BUCKET}/reg\"\nname = \"\"\n");
        let manager = ModelManager::builder(other.bare_config().bootstrap(&toml))
            .environment(environment)
            .build();
        for number in 1..=versions {
            let model = format!("g/m v{number}");
            manager
                .pull(&address(&model), &PullOptions::default())
                .unwrap();
            other.assert_files(&model, &files(number));
        }
    }
}

#[cfg(feature = "author")]
#[test]
fn publishing_into_a_bucket_is_killed_at_each_request() {
    let bucket = Bucket::new();
    let versions = bucket.kill_at_each(|number| {
        let folder = bucket.machine.temp.path().join(format!("m{number}"));
        let files = files(number);
        let files: Vec<_> = files
            .iter()
            .map(|(name, bytes)| (*name, &**bytes))
            .collect();
        crate::support::disk::write_files(&folder, &files);
        format!(
            "registry publish {} --group g --model m --version v{number} --chunk-size 1KiB",
            folder.display()
        )
    });
    bucket.pull_all(versions);
}

#[test]
fn mirroring_into_a_bucket_is_killed_at_each_request() {
    let bucket = Bucket::new();
    let versions = bucket.kill_at_each(|number| {
        let version = format!("g/m v{number}");
        bucket.machine.publish(&version, &files(number));
        format!("mirror {}", version.replace(' ', "@"))
    });
    bucket.pull_all(versions);
}

/// What is whole in the folder of a registry.
fn documents(folder: &Path) -> BTreeSet<String> {
    let names = names_in(&folder.join("data")).into_iter();
    names.filter(|name| !name.ends_with(".tmp")).collect()
}

fn read_below(folder: &Path) -> impl Fn(&str) -> Option<Vec<u8>> {
    move |path| fs::read(folder.join(path)).ok()
}

fn mirrored(rack: &Rack) -> PathBuf {
    rack.temp.path().join("mirror")
}

#[test]
fn mirroring_into_a_folder_is_killed_at_each_request() {
    let rack = Rack::new();
    let folder = mirrored(&rack);
    for number in 1..=LEAST {
        let version = format!("g/m v{number}");
        let published = rack.publish(&version, &files(number));
        let line = format!(
            "mirror {} --to {}",
            version.replace(' ', "@"),
            folder.display()
        );
        assert!(
            kill_at(program(&rack, &line), number, &[&rack.server]),
            "{number}"
        );
        let names = assert_sound(read_below(&folder));
        assert_eq!(names.len(), number - 1, "{number}: {names:?}");
        let before = documents(&folder);
        rack.server.reset_counts();
        let ran = finish(program(&rack, &line));
        assert_eq!(ran.code, 0, "{number}: {ran:?}");
        assert_eq!(assert_sound(read_below(&folder)).len(), number);
        let fetched = rack.chunk_requests(&[&published]).len();
        // But for the manifest.
        assert_eq!(fetched, documents(&folder).len() - before.len() - 1);
    }
}

/// Reads a file of a tar in which names are short.
fn read_in(tar: &Path) -> impl Fn(&str) -> Option<Vec<u8>> {
    let tar = fs::read(tar).unwrap_or_default();
    let text = |field: &[u8]| {
        let text = field.split(|byte| *byte == 0).next().unwrap();
        String::from_utf8(text.to_vec()).unwrap()
    };
    let (mut at, mut files) = (0, BTreeMap::new());
    while tar.get(at).is_some_and(|byte| *byte != 0) {
        let size = usize::from_str_radix(&text(&tar[at + 124..at + 136]), 8).unwrap();
        let content = &tar[at + 512..][..size];
        files.insert(text(&tar[at..at + 100]), content.to_vec());
        at += 512 + size.next_multiple_of(512);
    }
    move |path| files.get(path).cloned()
}

#[test]
fn mirroring_into_a_tar_is_killed_at_each_request_and_leaves_the_one_before() {
    let rack = Rack::new();
    let tar = rack.temp.path().join("models.tar");
    for number in 1..=LEAST {
        let version = format!("g/m v{number}");
        rack.publish(&version, &files(number));
        let line = format!(
            "mirror {} --to {}",
            version.replace(' ', "@"),
            tar.display()
        );
        let before = fs::read(&tar).ok();
        assert!(
            kill_at(program(&rack, &line), number, &[&rack.server]),
            "{number}"
        );
        assert!(fs::read(&tar).ok() == before, "{number}");
        let ran = finish(program(&rack, &line));
        assert_eq!(ran.code, 0, "{number}: {ran:?}");
        assert_eq!(assert_sound(read_in(&tar)).len(), number);
    }
}

/// Kills mirroring each version, which `prepare` makes and names, into an OCI registry, at one request more than that of the
/// version before, until one ends by itself; returns how many there were.
fn kill_pushes(
    rack: &Rack,
    source: &Server,
    to: &Registry,
    prepare: impl Fn(usize) -> String,
) -> usize {
    for number in 1.. {
        let line = format!("mirror {} --to oci://{}/", prepare(number), to.host());
        let killed = kill_at(program(rack, &line), number, &[source, to.server()]);
        let tags = to.assert_sound();
        let is_there = tags.iter().any(|it| it.ends_with(&format!(":v{number}")));
        assert_eq!(tags.len(), number - usize::from(!is_there), "{tags:?}");
        if !killed {
            assert!(number > LEAST && is_there, "{number}");
            return number;
        }
        let before = to.count();
        to.server().reset_counts();
        let ran = finish(program(rack, &line));
        assert_eq!(ran.code, 0, "{number}: {ran:?}");
        // Each brings one blob, manifest or tag.
        let requests = to.server().requests().into_iter();
        let puts = requests.filter(|it| it.method == "PUT");
        let statuses: Vec<u16> = puts.map(|it| it.status).collect();
        assert_eq!(statuses, vec![201; to.count() - before], "{number}");
        assert_eq!(to.assert_sound().len(), number);
    }
    unreachable!("a process ends by itself at last");
}

#[test]
fn mirroring_chunks_into_an_oci_registry_is_killed_at_each_request() {
    let (rack, to) = (Rack::new(), Registry::start());
    let versions = kill_pushes(&rack, &rack.server, &to, |number| {
        let version = format!("g/m v{number}");
        rack.publish(&version, &files(number));
        version.replace(' ', "@")
    });
    for number in 1..=versions {
        let other = Rack::new();
        let address = address(&format!("oci://{}/g/m@v{number}", to.host()));
        let pulled = other.manager().pull(&address, &PullOptions::default());
        let model = pulled.unwrap().model.to_string();
        other.assert_files(&model, &files(number));
    }
}

#[test]
fn mirroring_an_artifact_as_it_is_is_killed_at_each_request() {
    let (rack, from, to) = (Rack::new(), Registry::start(), Registry::start());
    let versions = kill_pushes(&rack, from.server(), &to, |number| {
        let layer = |at: usize| bytes(1000 + at, (100 * number + at) as u64);
        let layers = ["a", "b", "c", "d", "e"].iter().enumerate();
        let layers: Vec<_> = layers.map(|(at, name)| (*name, layer(at))).collect();
        let tag = format!("v{number}");
        from.push("acme/llama", &tag, &Artifact::model_pack(&layers));
        format!("oci://{}/acme/llama@{tag}", from.host())
    });
    let repository = format!("{}/acme/llama", from.host().replace(':', "_"));
    for number in 1..=versions {
        let tag = format!("v{number}");
        let pushed = from.manifest_of("acme/llama", &tag);
        assert!(pushed.is_some() && to.manifest_of(&repository, &tag) == pushed);
    }
}

#[test]
fn mirroring_into_a_folder_is_killed_at_each_line_of_its_log() {
    let rack = Rack::with_model();
    rack.publish("g/n v1", &[("n.bin", bytes(5000, 5))]);
    let folder = mirrored(&rack);
    let line = format!("mirror g/m@v1 g/n@v1 --to {}", folder.display());
    let (mut killed, mut moment) = (0, 0);
    while killed < LEAST {
        moment += 1;
        let command = program(&rack, &format!("{line} --verbose --concurrency 1"));
        let running = Running::watch(command, move |number, _| number == moment);
        running.wait();
        let (_, was_running) = running.kill();
        assert_sound(read_below(&folder));
        killed += usize::from(was_running);
        if !was_running {
            // Once more from the start.
            fs::remove_dir_all(&folder).unwrap();
            moment = 0;
        }
    }
    let ran = finish(program(&rack, &line));
    assert_eq!(ran.code, 0, "{ran:?}");
    assert_sound(read_below(&folder));
    let mut data = files_below(&folder.join("data"));
    data.retain(|name, _| !name.ends_with(".tmp"));
    assert_eq!(data, files_below(&rack.registry().join("data")));
}
