//! The publisher's side: registering the files of a project and checking them again.
//!
//! | part | measures |
//! |---|---|
//! | `one` | 20,000 files of 4 KiB as one model: registered, registered again, synced, checked by size and time, checked whole, |
//! | | reported; all of them changed: what a sync would do, and the sync |
//! | `many` | the same files as 20,000 models of a format, each read for what it says |
//!
//! Beside them `sha256sum` hashes the same files, where that is installed; below the memory stands the registry's size.
//! What is timed runs in processes of its own.

mod support;

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant, SystemTime};

use modelrack::project::{AddOptions, Project, ResyncOptions, StatusOptions};
use support::{
    Arguments, Folder, Result, Series, Start, Table, mebibytes, run_role, say, say_usage, seconds,
};

/// How many files lie in a folder.
const FOLDER_FILES: usize = 100;
const FILE_BYTES: usize = 4 << 10;
/// What a process may need for 20,000 models.
const PEAK_BAR: f64 = (120 << 20) as f64;

fn main() -> Result<()> {
    let arguments = match Start::read()? {
        Start::Bench(arguments) => arguments,
        Start::Role(name, arguments) => return play(&name, &arguments),
        Start::Nothing => return Ok(()),
    };
    let folder = arguments.folder("project")?;
    for (part, id) in [("one", "all"), ("many", "")] {
        if arguments.wants(part) {
            measure(&arguments, &folder.below(part)?, part, id)?;
        }
    }
    Ok(())
}

fn play(name: &str, arguments: &[String]) -> Result<()> {
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let started = Instant::now();
    match (name, arguments.as_slice()) {
        ("add", [project, id]) => {
            let mut options = AddOptions::default();
            options.id = Some((*id).to_owned()).filter(|id| !id.is_empty());
            let models = [Path::new(project).join("models")];
            let report = Project::open(project, &Default::default())?.add(&models, &options)?;
            say("registered", report.registered.len());
            say("failed", report.failed.len());
        }
        ("sync", [project, _]) => {
            let mut project = Project::open(project, &Default::default())?;
            let report = project.resync(&ResyncOptions::default())?;
            say("changed", report.difference.changed.len());
        }
        ("preview", [project, _]) => {
            let mut project = Project::open(project, &Default::default())?;
            let report = project.preview_resync(&ResyncOptions::default())?;
            say("changed", report.difference.changed.len());
        }
        ("report", [project, folder]) => {
            let report = Project::open(project, &Default::default())?.report(Path::new(folder))?;
            say("models", report.models);
        }
        ("status", [project, depth]) => {
            let options = StatusOptions::default().deep(*depth == "deep");
            let report = Project::open(project, &Default::default())?.status(&options)?;
            say("hashed", report.files_hashed);
            say("findings", report.findings.len());
        }
        _ => return Err(format!("no such role: {name}").into()),
    }
    say("seconds", started.elapsed().as_secs_f64());
    say_usage();
    Ok(())
}

fn measure(arguments: &Arguments, folder: &Folder, part: &str, id: &str) -> Result<()> {
    let count = arguments.size(20_000, 200);
    let files = write_files(&folder.join("models"), count, part == "many")?;
    let project = folder.path().to_string_lossy().into_owned();
    let registry = folder.join(".registry");
    let [
        mut hashing,
        mut adding,
        mut again,
        mut syncing,
        mut checking,
        mut deep,
        mut reporting,
        mut previewing,
        mut updating,
        mut peak,
    ] = [const { Series::new() }; 10];
    let report = folder.join("report").to_string_lossy().into_owned();
    let mut round = 0;
    for _ in 0..arguments.runs(5) {
        hashing.extend(sha256sum(&folder.join("models"))?);
        if registry.exists() {
            fs::remove_dir_all(&registry)?;
        }
        let mut run =
            |series: &mut Series, role: &str, choice: &str, expected: (&str, f64)| -> Result<()> {
                let numbers = run_role(role, [project.as_str(), choice])?;
                if numbers.need(expected.0)? != expected.1 {
                    return Err(
                        format!("{role} {choice}: {} is not {}", expected.0, expected.1).into(),
                    );
                }
                series.add(numbers.need("seconds")?);
                peak.extend(numbers.get("peak_bytes"));
                Ok(())
            };
        let models = if id.is_empty() { count } else { 1 };
        run(&mut adding, "add", id, ("registered", models as f64))?;
        run(&mut again, "add", id, ("registered", 0.0))?;
        run(&mut syncing, "sync", "", ("changed", 0.0))?;
        run(&mut checking, "status", "shallow", ("hashed", 0.0))?;
        run(&mut deep, "status", "deep", ("hashed", files as f64))?;
        run(&mut reporting, "report", &report, ("models", models as f64))?;
        round += 1;
        change_files(&folder.join("models"), round)?;
        let changed = ("changed", models as f64);
        run(&mut previewing, "preview", "", changed)?;
        run(&mut updating, "sync", "", changed)?;
    }
    let mut table = Table::new(format!(
        "{part}: {count} files of 4 KiB as {} models",
        if id.is_empty() { count } else { 1 }
    ));
    for (what, series) in [
        ("register", &adding),
        ("register again", &again),
        ("sync", &syncing),
        ("check, by size and time", &checking),
        ("check, hashing all", &deep),
        ("report", &reporting),
        ("preview, all changed", &previewing),
        ("sync, all changed", &updating),
    ] {
        match hashing.smallest() {
            Some(_) => table.pair(what, series, ("sha256sum", &hashing)),
            None => table.row(what, &seconds(series.median()), ""),
        }
    }
    table.memory("  peak memory", peak.largest(), PEAK_BAR);
    let bytes = fs::metadata(registry.join("models.toml"))?.len();
    table.row("  registry", &mebibytes(bytes as f64), "");
    table.print();
    Ok(())
}

/// Writes files that differ, an hour old; as models of a format when they are to be read.
fn write_files(folder: &Path, count: usize, is_model: bool) -> Result<usize> {
    let hour_ago = SystemTime::now() - Duration::from_secs(3600);
    for index in 0..count {
        let below = folder.join(format!("{:03}", index / FOLDER_FILES));
        if index % FOLDER_FILES == 0 {
            fs::create_dir_all(&below)?;
        }
        let (extension, head) = match is_model {
            true => (
                "md",
                format!(
                    "## ModelName\nModel {index}\n\n## StateSpaceBlock\nA[3,3]\n\n## Connections\nA>s\n\n## Footer\n"
                ),
            ),
            false => ("bin", format!("{index}\n")),
        };
        let path: PathBuf = below.join(format!("file{index:05}.{extension}"));
        let mut bytes = head.into_bytes();
        bytes.resize(FILE_BYTES, b'.');
        fs::write(&path, bytes)?;
        fs::File::options()
            .write(true)
            .open(&path)?
            .set_modified(hour_ago)?;
    }
    Ok(count)
}

/// Appends to every file below a folder, an hour ago.
fn change_files(folder: &Path, round: usize) -> Result<()> {
    let hour_ago = SystemTime::now() - Duration::from_secs(3600);
    for below in fs::read_dir(folder)? {
        for file in fs::read_dir(below?.path())? {
            let mut file = fs::File::options().append(true).open(file?.path())?;
            writeln!(file, "{round}")?;
            file.set_modified(hour_ago)?;
        }
    }
    Ok(())
}

/// How long `sha256sum` takes for all files below a folder, where it is installed.
fn sha256sum(folder: &Path) -> Result<Option<f64>> {
    let started = Instant::now();
    let ran = Command::new("sh")
        .args(["-c", "find . -type f -print0 | xargs -0 sha256sum"])
        .current_dir(folder)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    Ok(ran
        .ok()
        .filter(std::process::ExitStatus::success)
        .map(|_| started.elapsed().as_secs_f64()))
}
