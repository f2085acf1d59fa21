//! Processes killed at any moment: nothing incomplete is listed, nothing recorded is lost, nothing is fetched twice.

use std::fs::{self, OpenOptions};
use std::sync::mpsc::{Receiver, Sender};
use std::time::{Duration, Instant};

use super::models;
use super::program::{Running, finish, rack as program};
use super::site::{CHUNK, LARGE, Site, lists};
use crate::support::rack::Rack;
use crate::support::server::Rule;
use crate::support::{PATIENCE, bytes};

const RANGE: u64 = 8 << 20;
const WORKERS: u64 = 2;

/// When to kill.
#[derive(Debug)]
enum Moment {
    /// As soon as so many events were told.
    Line(usize),
    /// As soon as a request for the large chunk was answered so far.
    Sent(u64),
    /// So long after the start, whatever happens then.
    After(Duration),
}

impl Moment {
    /// The same for the same number; `lines` are about as many as there will be.
    fn of(number: u64, lines: usize) -> Self {
        let random = u64::from_le_bytes(bytes(8, number).try_into().unwrap());
        match random % 3 {
            0 => Self::Line(usize::try_from(random >> 8).unwrap() % lines + 1),
            1 => Self::Sent((random >> 8) % RANGE),
            _ => Self::After(Duration::from_micros((random >> 8) % 300_000)),
        }
    }
}

/// Starts a process and kills it at that moment; returns what it told, and whether it was still at it.
fn kill_at(site: &Site, line: &str, moment: &Moment) -> (Vec<String>, bool) {
    let command = program(&site.machine, &format!("{line} --verbose"));
    let wanted = match moment {
        Moment::Line(number) => *number,
        _ => usize::MAX,
    };
    let (running, tell, told): (_, Sender<()>, Receiver<()>) =
        Running::start(command, move |number, _| number == wanted);
    if let Moment::Sent(bytes) = *moment {
        let rule = Rule::when(|request| request.header("range").is_some()).nth(2);
        site.machine.server.rule(rule.on_bytes(bytes, move || {
            let _ = tell.send(());
        }));
    }
    let patience = match moment {
        Moment::After(time) => *time,
        _ => PATIENCE,
    };
    let _ = told.recv_timeout(patience);
    let killed = running.kill();
    site.machine.server.clear_rules();
    killed
}

#[test]
fn a_pull_that_is_killed_again_and_again_loses_nothing() {
    let mut site = Site::new();
    let files = vec![
        ("parts.bin", bytes(24 * CHUNK, 1)),
        ("sub/large.bin", bytes(LARGE, 2)),
    ];
    site.offer("big", files);
    let total = (24 * CHUNK + LARGE) as u64;
    let pull = format!("pull g/big v1 --concurrency {WORKERS}");
    let (mut kills, mut number) = (0, 0);
    let mut before = 0;
    while kills < 25 {
        number += 1;
        assert!(number < 200, "the processes end before they can be killed");
        site.machine.server.reset_counts();
        let moment = Moment::of(number, 40);
        let (_, killed) = kill_at(&site, &pull, &moment);
        kills += u32::from(killed);
        let sent = site.chunk_bytes_sent();
        let list = site.check(&[], &format!("{moment:?}"));
        if lists(&list, "big") {
            // Once more from the start.
            site.run("remove g/big v1 -y").success();
            before = 0;
            continue;
        }
        let (left, resumed) = site.left("big");
        assert_eq!(left + resumed, total, "{moment:?}");
        assert!(
            resumed >= before,
            "{moment:?}: {resumed} bytes of {before} are left"
        );
        // Of what was sent only that is lost which each worker was just at.
        assert!(
            resumed + WORKERS * RANGE >= before + sent,
            "{moment:?}: {before} + {sent} became {resumed}"
        );
        before = resumed;
    }
    // At last one that may end, however much it was left.
    let (left, _) = site.left("big");
    site.machine.server.reset_counts();
    let ran = finish(program(&site.machine, "pull g/big v1 --json"));
    assert_eq!(ran.code, 0, "{ran:?}");
    assert_eq!(ran.json()["bytes_fetched"], left);
    assert_eq!(site.chunk_bytes_sent(), left);
    site.check(&["big"], "the end");
    // A forced pull takes all from the copy that is there, which stays until the new one is complete.
    for number in 0..6 {
        let moment = Moment::After(Duration::from_millis(20 + number * 50));
        kill_at(&site, &format!("{pull} --force"), &moment);
        site.check(&["big"], &format!("--force, {moment:?}"));
    }
    site.machine.server.reset_counts();
    finish(program(&site.machine, "pull g/big v1 --force --quiet")).quiet_success();
    assert_eq!(site.chunk_bytes_sent(), 0);
    site.assert_clean();
}

#[test]
fn small_changes_that_are_killed_leave_one_state_or_the_other() {
    let mut site = Site::new();
    let state = |seed| {
        vec![
            ("a.bin", bytes(2 * CHUNK, seed)),
            ("b/c.txt", bytes(50, seed)),
            ("same", bytes(CHUNK, 5)),
        ]
    };
    let (mut kills, mut number) = (0, 0);
    while kills < 30 {
        number += 1;
        assert!(number < 200, "the processes end before they can be killed");
        site.offer("small", state(number % 7 + 10));
        let there = lists(&site.check(&[], "before"), "small");
        // A pull tells about twenty events, of which the later half are its end; a removal tells six.
        let (line, lines) = match number % 3 {
            0 => ("pull g/small v1", 20),
            1 => ("pull g/small v1 --force", 20),
            _ => ("remove g/small v1 -y", 6),
        };
        let removes = line.starts_with("remove");
        if removes && !there {
            site.run("pull g/small v1").success();
        }
        let moment = match Moment::of(number, lines) {
            Moment::Sent(bytes) => {
                Moment::Line(usize::try_from(bytes).unwrap() % (lines / 2) + lines / 2 + 1)
            }
            Moment::After(time) => Moment::After(time / 10),
            moment @ Moment::Line(_) => moment,
        };
        kills += u32::from(kill_at(&site, line, &moment).1);
        let still_there: &[&str] = if there && !removes { &["small"] } else { &[] };
        site.check(still_there, &format!("{line}, {moment:?}"));
    }
    finish(program(&site.machine, "pull g/small v1 --quiet")).quiet_success();
    site.check(&["small"], "the end");
    site.assert_clean();
}

/// Keeps the record's lock while something is done, so that a process can get so far and no further.
fn with_record_locked<T>(machine: &Rack, action: impl FnOnce() -> T) -> T {
    let path = machine.store().join("registry.json.lock");
    let file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .open(path)
        .unwrap();
    file.lock().unwrap();
    action()
}

#[test]
fn a_kill_between_the_move_and_the_record_is_made_good() {
    let mut site = Site::new();
    for (files, line) in [
        (vec![("a", bytes(5000, 1))], "pull g/m v1"),
        (
            vec![("a", bytes(5000, 2)), ("b", bytes(10, 2))],
            "pull g/m v1",
        ),
        (
            vec![("a", bytes(5000, 2)), ("b", bytes(10, 2))],
            "pull g/m v1 --force",
        ),
    ] {
        site.offer("m", files);
        let (told, killed) = with_record_locked(&site.machine, || {
            let command = program(&site.machine, &format!("{line} --verbose"));
            let (running, _, told) =
                Running::start(command, |_, line| line.contains("moved into place"));
            told.recv_timeout(PATIENCE).unwrap();
            running.kill()
        });
        assert!(killed, "{line}: {told:#?}");
        assert!(
            !told.iter().any(|line| line.contains("info: installed")),
            "{told:#?}"
        );
        site.machine.server.reset_counts();
        // The files are in their place, so they are what is installed.
        let list = site.check(&["m"], line);
        let hash = &site.index["g"]["m"]["v1"]["hash"];
        let model = list["models"]
            .as_array()
            .unwrap()
            .iter()
            .find(|model| model["model"] == "m");
        assert_eq!(&model.unwrap()["manifest_hash"], hash, "{line}");
        site.run("pull g/m v1").success();
        assert_eq!(site.chunk_bytes_sent(), 0, "{line}");
        site.assert_clean();
    }
}

#[test]
fn a_removal_that_is_killed_half_way_is_finished() {
    let mut site = Site::new();
    site.offer("m", vec![("a", bytes(5000, 1))]);
    site.run("pull g/m v1").success();
    let dir = site.machine.dir_of("g/m v1");
    let killed = with_record_locked(&site.machine, || {
        let command = program(&site.machine, "remove g/m v1 -y");
        let (running, _, _) = Running::start(command, |_, _| false);
        let started = Instant::now();
        while dir.exists() {
            assert!(started.elapsed() < PATIENCE, "the removal does not begin");
            std::thread::yield_now();
        }
        running.kill().1
    });
    assert!(killed);
    let list = site.check(&[], "a removal");
    assert_eq!(list["models"].as_array().unwrap().len(), 1);
    assert_eq!(site.run("path g/m v1").code, 4);
    site.run("pull g/m v1").success();
    site.check(&["m"], "pulled again");
    site.assert_clean();
}

#[test]
fn a_publisher_that_is_killed_leaves_a_registry_that_can_be_pulled() {
    let machine = Rack::new();
    let folder = machine.temp.path().join("mine");
    fs::create_dir(&folder).unwrap();
    let publish = || {
        let line = "registry publish --group g --version v1 --chunk-size 16KiB --to";
        let mut command = program(&machine, line);
        command.arg(machine.registry()).arg(&folder);
        command
    };
    let mut published: Vec<Vec<u8>> = Vec::new();
    for number in 0..12_u64 {
        let content = bytes(400_000, number + 1);
        fs::write(folder.join("a.bin"), &content).unwrap();
        published.push(content);
        let (running, _, told) = Running::start(publish(), |_, _| false);
        let random = u64::from_le_bytes(bytes(8, number).try_into().unwrap());
        let _ = told.recv_timeout(Duration::from_micros(random % 60_000));
        running.kill();
        if !machine.registry().join("models.json").exists() {
            continue;
        }
        models(&machine, "pull g/mine v1 --force").success();
        let [(_, installed)] = <[_; 1]>::try_from(machine.files_of("g/mine v1")).unwrap();
        assert!(
            published.contains(&installed),
            "neither the old state nor the new one"
        );
    }
    finish(publish()).success();
    models(&machine, "pull g/mine v1").success();
    let newest = published.pop().unwrap();
    machine.assert_files("g/mine v1", &[("a.bin", newest)]);
}
