//! The registry of a project, changed by whole processes: several at once, killed, cut off, waiting.

use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::sync::mpsc::channel;

use modelrack::project::Project;

use super::workshop::{AGENT, Workshop};
use crate::cli::models;
use crate::cli::program::{Running, finish, rack};
use crate::support::bytes;
use crate::support::disk::{names_in, write_files};
use crate::support::rack::Rack;

fn ids(workshop: &Workshop) -> Vec<String> {
    let project = Project::open(workshop.root(), &Default::default()).unwrap();
    assert_eq!(project.recovered(), None);
    project.registry().entries.keys().cloned().collect()
}

/// Writes these models, each a file of its own, in a folder of the project.
fn write_models(workshop: &Workshop, folder: &str, round: usize, count: usize) {
    for number in 0..count {
        let name = format!("{folder}/{folder}-{round}-{number:03}.md");
        let text = AGENT.replace("Agent", &name);
        write_files(&workshop.root(), &[(&name, text.as_bytes())]);
    }
}

#[test]
fn processes_that_add_at_once_lose_nothing() {
    let workshop = Workshop::new();
    const FOLDERS: [&str; 3] = ["x", "y", "z"];
    for round in 0..12 {
        let start = |folder: &&str| {
            write_models(&workshop, folder, round, 2);
            let mut command = workshop.process("", "add");
            command.arg(folder).arg("--quiet");
            Running::start(command)
        };
        let running: Vec<Running> = FOLDERS.iter().map(start).collect();
        for running in running {
            running.end().quiet_success();
        }
        assert_eq!(ids(&workshop).len(), (round + 1) * 2 * FOLDERS.len());
    }
    let own = names_in(&workshop.path(".registry"));
    assert_eq!(own, [".gitignore", "models.toml", "models.toml.bak"]);
}

#[test]
fn an_addition_that_is_killed_at_any_moment_leaves_one_state_or_the_other() {
    const MODELS: usize = 60;
    let workshop = Workshop::new();
    let mut before: Vec<String> = Vec::new();
    let lock = workshop.path(".registry/.models.toml.lock");
    let (mut kills, mut number) = (0, 0);
    while kills < 25 {
        number += 1;
        assert!(number < 200, "the processes end before they can be killed");
        write_models(&workshop, "m", number, MODELS);
        let command = workshop.process("", "add m --verbose");
        // At the start, once it has the lock, or at one of its lines, the first of which tell of the save.
        let line = number % 6;
        let mut running = Running::watch(command, move |number, _| number + 1 == line);
        match line {
            0 => {}
            1 => running.wait_until(|| lock.exists()),
            _ => running.wait(),
        }
        kills += u32::from(running.kill().1);
        let after = ids(&workshop);
        let added = after.len() - before.len();
        assert!(
            added == 0 || added.is_multiple_of(MODELS),
            "{added} of {MODELS}"
        );
        assert!(before.iter().all(|id| after.contains(id)));
        // The next command has nothing to complain of.
        if number.is_multiple_of(5) {
            finish(workshop.process("", "list --quiet")).quiet_success();
            finish(workshop.process("", "add models --quiet")).quiet_success();
        }
        before = ids(&workshop);
        if before.len() > 4 * MODELS {
            fs::remove_dir_all(workshop.path("m")).unwrap();
            fs::remove_dir_all(workshop.path(".registry")).unwrap();
            before.clear();
        }
    }
    write_models(&workshop, "m", number + 1, 1);
    finish(workshop.process("", "add m --quiet")).success();
    let own = names_in(&workshop.path(".registry"));
    let leftovers = own
        .iter()
        .filter(|name| name.ends_with(".tmp") || name.contains("damaged"));
    assert_eq!(leftovers.count(), 0, "{own:?}");
}

#[test]
fn an_addition_waits_for_another_program_and_says_so() {
    let workshop = Workshop::registered();
    let lock = File::create(workshop.path(".registry/.models.toml.lock")).unwrap();
    lock.lock().unwrap();
    let command = workshop.process("", "add weights/w.bin --verbose");
    let waits = |_, line: &str| line.contains("waiting for another program");
    let running = Running::watch(command, waits);
    running.wait();
    assert!(!workshop.text().contains("[entries.w]"));
    drop(lock);
    let ran = running.end();
    assert!(ran.err.contains("waiting for another program"), "{ran:?}");
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(workshop.text().contains("[entries.w]"));
}

#[test]
fn a_process_that_waits_can_be_killed_and_changes_nothing() {
    let workshop = Workshop::registered();
    let before = workshop.text();
    let lock = File::create(workshop.path(".registry/.models.toml.lock")).unwrap();
    lock.lock().unwrap();
    let waits = |_, line: &str| line.contains("waiting for another program");
    let running = Running::watch(workshop.process("", "remove sir -y --verbose"), waits);
    running.wait();
    assert!(running.kill().1);
    drop(lock);
    assert_eq!(workshop.text(), before);
    finish(workshop.process("", "remove sir -y")).success();
}

#[test]
fn what_was_done_to_a_damaged_registry_is_told() {
    let workshop = Workshop::registered();
    workshop.edit("models/sir.py", "recovered", "recovered again");
    finish(workshop.process("", "add models")).success();
    let path = workshop.path(".registry/models.toml");
    let half = workshop.text()[..900].to_owned();
    fs::write(&path, &half).unwrap();
    for line in ["list --quiet", "list --json", "status --quiet"] {
        let ran = finish(workshop.process("models", line));
        assert!(
            ran.err.starts_with("the registry was read from its backup"),
            "{ran:?}"
        );
        assert_eq!(
            (ran.code, fs::read_to_string(&path).unwrap()),
            (0, half.clone()),
            "{line}"
        );
    }
    let ran = finish(workshop.process("", "sync"));
    assert_eq!(ran.code, 0, "{ran:?}");
    let aside = workshop.path(".registry/models.toml.damaged-1");
    assert!(
        ran.err.contains("the damaged registry was kept as "),
        "{ran:?}"
    );
    assert!(ran.err.contains("models.toml.damaged-1\n"), "{ran:?}");
    assert_eq!(fs::read_to_string(aside).unwrap(), half);
    assert_eq!(ids(&workshop), ["agent", "sir", "tiny"]);
    let ran = finish(workshop.process("", "list"));
    assert_eq!((ran.code, ran.err.as_str()), (0, ""));

    for name in ["models.toml", "models.toml.bak"] {
        fs::write(workshop.path(".registry").join(name), "[").unwrap();
    }
    for line in [
        "list",
        "add models",
        "remove sir -y",
        "status",
        "sync --force",
        "publish --to public",
    ] {
        let ran = finish(workshop.process("", line));
        assert_eq!((ran.code, ran.out.as_str()), (1, ""), "{line}: {ran:?}");
        assert!(
            ran.err.contains("its backup cannot be read either"),
            "{ran:?}"
        );
        assert!(
            ran.err.contains("hint: restore it from version control"),
            "{ran:?}"
        );
    }
    assert_eq!(fs::read_to_string(path).unwrap(), "[");
    assert!(!workshop.path("public").exists());
}

#[test]
fn a_reader_that_hangs_up_ends_it_quietly() {
    let workshop = Workshop::new();
    write_models(&workshop, "m", 0, 400);
    finish(workshop.process("", "add m --quiet")).success();
    for line in [
        "list",
        "list --json",
        "search m",
        "show m-0-001",
        "add m --json",
    ] {
        let mut running = Running::start(workshop.process("", line));
        drop(running.child.stdout.take());
        let ran = running.end();
        assert_eq!((ran.code, ran.err.as_str()), (0, ""), "{line}");
    }
    let mut running = Running::start(workshop.process("", "list"));
    let (tell, told) = channel();
    let mut stdout = BufReader::with_capacity(16, running.child.stdout.take().unwrap());
    let mut first = String::new();
    stdout.read_line(&mut first).unwrap();
    tell.send(first).unwrap();
    drop(stdout);
    let ran = running.end();
    assert_eq!((ran.code, ran.err.as_str()), (0, ""));
    assert!(told.recv().unwrap().starts_with("m-0-000\t1.0.0\t"));
}

#[test]
fn a_size_limit_is_told_with_the_ways_out() {
    let workshop = Workshop::registered();
    for number in 0..3 {
        workshop.edit(
            "models/sir.py",
            "class SIR",
            &format!("# {number}\nclass SIR"),
        );
        workshop.run("add {p}/models/sir.py").success();
    }
    let before = workshop.text();
    workshop.edit("models/sir.py", "class SIR", "# last\nclass SIR");
    let most = before.len() - 1;
    let ran = workshop.run(&format!("add {{p}}/models/sir.py --max-size {most}"));
    assert_eq!((ran.code, ran.out.as_str()), (1, ""), "{ran:?}");
    assert!(
        ran.err.contains(" KB, more than the limit of 3."),
        "{ran:?}"
    );
    assert!(
        ran.err.contains("hint: keep only the N highest versions"),
        "{ran:?}"
    );
    assert_eq!(workshop.text(), before);
    let ran = workshop.run(&format!("sync --max-size {most} --keep-versions 2"));
    assert_eq!(ran.code, 0, "{ran:?}");
    assert_eq!(
        ran.err,
        "dropped the oldest versions, as the registry would have been too large: sir 1.0.0, sir 1.0.1, sir 1.0.2\n"
    );
    let versions = workshop.run("show sir --json").json();
    let versions = versions["versions"].as_array().unwrap();
    assert_eq!(versions.len(), 2);
    assert_eq!(versions[1]["version"], "1.0.4");
    assert_eq!(workshop.run("add {p}/models --keep-versions 0").code, 2);
}

#[test]
fn a_publisher_that_is_killed_leaves_a_registry_that_can_be_pulled() {
    let machine = Rack::new();
    let folder = machine.temp.path().join("mine");
    fs::create_dir(&folder).unwrap();
    let publish = || {
        let line = "registry publish --group g --version v1 --chunk-size 16KiB --to";
        let mut command = rack(&machine, line);
        command.arg(machine.registry()).arg(&folder);
        command
    };
    let mut published: Vec<Vec<u8>> = Vec::new();
    let chunks = || names_in(&machine.registry().join("data")).len();
    for number in 0..12 {
        let content = bytes(400_000, number + 1);
        fs::write(folder.join("a.bin"), &content).unwrap();
        published.push(content);
        // Of 26 files, manifest included: before the first, and behind every second one.
        let wanted = chunks() + number as usize * 2;
        let mut running = Running::start(publish());
        running.wait_until(|| chunks() >= wanted);
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
