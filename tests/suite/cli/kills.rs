//! Processes killed at any moment: nothing incomplete is listed, nothing recorded is lost, nothing is fetched twice.

use std::fs::OpenOptions;
use std::path::Path;

use super::program::{Running, finish, rack as program};
use super::site::{CHUNK, LARGE, MIDDLE, Site, listed_bytes, lists};
use crate::support::bytes;
use crate::support::disk::write_files;
use crate::support::rack::Rack;
use crate::support::server::{Request, Rule};

const RANGE: u64 = 8 << 20;
const WORKERS: u64 = 2;

/// The event at which a process is killed; all are counted from 1.
#[derive(Debug)]
enum Moment {
    /// It writes this line of its log.
    Line(usize),
    /// It asks for this chunk of those that it still lacks, and gets no answer.
    Chunk(u64),
    /// It has been sent this many bytes of the second range of a large chunk, and gets no more.
    Byte(u64),
}

/// Starts a process and kills it at that moment; returns what it logged, and whether it was still running.
fn kill_at(site: &Site, line: &str, moment: &Moment) -> (Vec<String>, bool) {
    let command = program(&site.machine, &format!("{line} --verbose"));
    let wanted = match moment {
        Moment::Line(number) => *number,
        _ => usize::MAX,
    };
    let running = Running::watch(command, move |number, _| number == wanted);
    let alarm = running.alarm();
    let wake = move || {
        let _ = alarm.send(());
    };
    match *moment {
        Moment::Line(_) => {}
        Moment::Chunk(number) => {
            let rule = site.chunks().nth(number).on_request(wake);
            site.machine.server.rule(rule.stall());
        }
        Moment::Byte(bytes) => {
            let ranges = Rule::when(|request| request.header("range").is_some());
            let rule = ranges.nth(2).on_bytes(bytes, wake);
            site.machine.server.rule(rule.stall_after(bytes));
        }
    }
    running.wait();
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
    let (mut kills, mut number) = (0, 0_usize);
    let mut before = 0;
    while kills < 25 {
        number += 1;
        assert!(number < 200, "the processes end before they can be killed");
        site.machine.server.reset_counts();
        let moment = match number % 3 {
            0 => Moment::Line(number % 40 + 1),
            1 => Moment::Chunk(number as u64 % 5 + 1),
            _ => Moment::Byte(number as u64 * 777_777 % RANGE),
        };
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
    for line in (1..).step_by(3) {
        let moment = Moment::Line(line);
        let (log, _) = kill_at(&site, &format!("{pull} --force"), &moment);
        site.check(&["big"], &format!("--force, {moment:?}"));
        if log.len() < line {
            break;
        }
    }
    site.machine.server.reset_counts();
    finish(program(&site.machine, "pull g/big v1 --force --quiet")).quiet_success();
    assert_eq!(site.chunk_bytes_sent(), 0);
    site.assert_clean();
}

#[test]
fn a_part_or_range_that_is_killed_goes_on_where_it_was() {
    const STEP: u64 = 1 << 20;
    let mut site = Site::new();
    let files = vec![
        ("a.bin", bytes(MIDDLE, 1)),
        ("b.bin", bytes(MIDDLE, 2)),
        ("large.bin", bytes(LARGE, 3)),
    ];
    site.offer("m", files);
    let total = (2 * MIDDLE + LARGE) as u64;
    // At first two ranges of the largest part stop in the middle of their third step; then, one at a time, all of them come
    // whole, and the next part stops there.
    let mut resumed = 0;
    for (concurrency, least) in [(2, 4 * STEP), (1, LARGE as u64 + 2 * STEP)] {
        let is_stalled =
            move |request: &Request| concurrency == 2 || request.header("range").is_none();
        let cut = 2 * STEP + STEP / 2;
        let stalled = site.chunks().and(is_stalled).stall_after(cut);
        site.machine.server.rule(stalled);
        let line = format!("pull g/m v1 --concurrency {concurrency} --quiet");
        let mut running = Running::start(program(&site.machine, &line));
        running.wait_until(|| {
            let partial = site.machine.partial();
            partial.is_some_and(|partial| listed_bytes(&partial) >= least)
        });
        assert!(running.kill().1);
        site.machine.server.clear_rules();
        let left;
        (left, resumed) = site.left("m");
        assert!(resumed >= least, "{resumed}");
        assert_eq!(left + resumed, total);
    }
    site.machine.server.reset_counts();
    let ran = finish(program(&site.machine, "pull g/m v1 --json"));
    assert_eq!(ran.json()["bytes_fetched"], total - resumed);
    assert_eq!(ran.json()["bytes_resumed"], resumed);
    assert_eq!(site.chunk_bytes_sent(), total - resumed);
    site.check(&["m"], "the end");
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
    let mut kills = 0;
    for command in [
        "pull g/small v1",
        "pull g/small v1 --force",
        "remove g/small v1 -y",
    ] {
        let removes = command.starts_with("remove");
        for line in 1.. {
            site.offer("small", state(line as u64 % 7 + 10));
            let mut there = lists(&site.check(&[], "before"), "small");
            if removes && !there {
                site.run("pull g/small v1").success();
                there = true;
            }
            let moment = Moment::Line(line);
            let (log, killed) = kill_at(&site, command, &moment);
            kills += u32::from(killed);
            let still_there: &[&str] = if there && !removes { &["small"] } else { &[] };
            site.check(still_there, &format!("{command}, {moment:?}"));
            if log.len() < line {
                break;
            }
        }
    }
    assert!(kills >= 30, "only {kills} processes could be killed");
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

/// Starts a process and kills it between the move and the record.
fn kill_before_the_record(site: &Site, line: &str) {
    let (told, killed) = with_record_locked(&site.machine, || {
        let command = program(&site.machine, &format!("{line} --verbose"));
        let running = Running::watch(command, |_, line| line.contains("moved into place"));
        running.wait();
        running.kill()
    });
    assert!(killed, "{line}: {told:#?}");
    let is_recorded = |line: &String| line.contains("info: installed");
    assert!(!told.iter().any(is_recorded), "{told:#?}");
    site.machine.server.reset_counts();
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
        kill_before_the_record(&site, line);
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
fn what_was_moved_but_not_recorded_is_what_the_next_command_finds() {
    // Nothing reads the store between the kill and the command.
    for (command, is_left) in [
        ("pull g/m v1", true),
        ("pull g/m v1 --force", true),
        ("remove g/m v1 -y", false),
    ] {
        let mut site = Site::new();
        site.offer("m", vec![("a", bytes(5000, 1))]);
        kill_before_the_record(&site, "pull g/m v1");
        site.run(command).success();
        assert_eq!(site.chunk_bytes_sent(), 0, "{command}");
        let left: &[&str] = if is_left { &["m"] } else { &[] };
        site.check(left, command);
        site.assert_clean();
    }
}

#[test]
fn a_pull_that_cannot_be_recorded_yet_fetches_nothing_again() {
    let mut site = Site::new();
    site.offer("m", vec![("a", bytes(5000, 1))]);
    kill_before_the_record(&site, "pull g/m v1");
    // The record stays locked until the next pull waits for it as well.
    let killed = with_record_locked(&site.machine, || {
        let command = program(&site.machine, "pull g/m v1 --verbose");
        let finishing = |_, line: &str| line.contains("finishing an interrupted change");
        let running = Running::watch(command, finishing);
        running.wait();
        running.kill().1
    });
    assert!(killed);
    site.run("pull g/m v1").success();
    assert_eq!(site.chunk_bytes_sent(), 0);
    site.check(&["m"], "the end");
    site.assert_clean();
}

#[test]
fn a_removal_that_is_killed_half_way_is_finished() {
    let mut site = Site::new();
    site.offer("m", vec![("a", bytes(5000, 1))]);
    site.run("pull g/m v1").success();
    let dir = site.machine.dir_of("g/m v1");
    let killed = with_record_locked(&site.machine, || {
        let command = program(&site.machine, "remove g/m v1 -y");
        let mut running = Running::start(command);
        running.wait_until(|| !dir.exists());
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
fn an_installation_by_hand_that_is_killed_is_whole_or_not_there() {
    let mut site = Site::new();
    let files = vec![
        ("a.bin", bytes(MIDDLE, 1)),
        ("b/c.txt", bytes(50, 2)),
        ("same.bin", bytes(MIDDLE, 1)),
    ];
    let folder = site.machine.temp.path().join("weights");
    let put = |folder: &Path| {
        let files = files.iter().map(|(name, content)| (*name, &**content));
        write_files(folder, &files.collect::<Vec<_>>());
    };
    put(&folder);
    let place = site.machine.dir_of("g/mine v1");
    let from = format!("tag g/mine v1 --from {}", folder.display());
    site.run(&from).success();
    let hash = site.run("info g/mine --json").json()["manifest_hash"].clone();
    site.learn(hash.as_str().unwrap(), files.clone());
    // From another folder, and in its place.
    for (is_there, command) in [(false, from.as_str()), (true, "tag g/mine v1")] {
        let (mut kills, mut recorded) = (0, 0);
        for line in 1.. {
            assert!(line < 200, "the processes do not end");
            site.run("remove g/mine v1 -y");
            if is_there {
                put(&place);
            }
            let moment = Moment::Line(line);
            let (log, killed) = kill_at(&site, command, &moment);
            kills += u32::from(killed);
            let when = format!("{command}, {moment:?}");
            let is_listed = lists(&site.check(&[], &when), "mine");
            assert!(!is_there || place.join("a.bin").is_file(), "{when}");
            // The same command goes on, or finds it done.
            let ran = site.run(command);
            assert_eq!(ran.code == 0, !is_listed || is_there, "{when}: {ran:?}");
            site.check(&["mine"], &when);
            recorded += u32::from(is_listed);
            if log.len() < line {
                break;
            }
        }
        assert!(kills > 0 && recorded > 0, "{command}: {kills} {recorded}");
    }
    site.assert_clean();
}
