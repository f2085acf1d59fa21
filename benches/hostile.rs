//! Registries of 60 MiB, of entries that cannot be read: as those who pull and as their own project read them.
//!
//! The host is in this process; what is timed runs in processes of its own.

#[path = "../tests/suite/support/forge/mod.rs"]
mod forge;
#[path = "../tests/suite/support/git.rs"]
mod git;
#[path = "support/hosted.rs"]
mod hosted;
#[path = "support/machine.rs"]
mod machine;
#[path = "../tests/suite/sources/repository/models.rs"]
mod models;
#[path = "../tests/suite/support/server/mod.rs"]
mod server;
mod support;

use std::fs;

use forge::Forge;
use hosted::{host_text, registry_of};
use machine::{Machine, manager, sync, timed};
use modelrack::project::{Project, ProjectOptions};
use support::{Arguments, Folder, Result, Series, Start, Table, mebibytes, run_role};

/// The most memory that any registry may take.
const PEAK_BAR: f64 = (256 << 20) as f64;

fn main() -> Result<()> {
    match Start::read()? {
        Start::Bench(arguments) => measure(&arguments, &arguments.folder("hostile")?),
        Start::Role(name, arguments) => play(&name, &arguments),
        Start::Nothing => Ok(()),
    }
}

fn play(name: &str, arguments: &[String]) -> Result<()> {
    match (name, arguments) {
        ("sync", [url, home]) => timed(|| Ok(sync(&manager(url, home)).is_ok().into())),
        ("open", [project]) => timed(|| {
            let opened = Project::open(project, &ProjectOptions::default());
            Ok(opened.is_ok().into())
        }),
        _ => Err(format!("no such role: {name}").into()),
    }
}

/// Writes the entry of a number.
type Entry = fn(usize) -> String;

fn measure(arguments: &Arguments, folder: &Folder) -> Result<()> {
    let bytes = arguments.size(60 << 20, 1 << 20);
    let size = mebibytes(bytes as f64);
    let mut table = Table::new(format!("hostile: registries of {size}"));
    let kinds: [(&str, &str, Entry); 4] = [
        ("files that are numbers", "[files]\n", |it| {
            format!("f{it} = 1\n")
        }),
        ("lists of numbers", "[models]\n", |it| {
            format!("m{it} = [1]\n")
        }),
        ("lists of one file", "[models]\n", |it| {
            format!("m{it} = [\"\"]\n")
        }),
        ("empty tables", "", |it| format!("[x.t{it}.y.z]\n")),
    ];
    for (what, head, entry) in kinds {
        let text = registry_of(head, entry, bytes);
        let project = folder.lasting("project")?;
        fs::create_dir(project.join(".registry"))?;
        fs::write(project.join(".registry/models.toml"), &text)?;
        let forge = Forge::start();
        host_text(&forge, text);
        for reader in ["those who pull", "its project"] {
            let [mut times, mut peak] = [const { Series::new() }; 2];
            let mut outcome = "refused";
            for _ in 0..arguments.runs(3) {
                let numbers = match reader {
                    "its project" => run_role("open", [&project])?,
                    _ => {
                        let machine = Machine::new(&forge, folder)?;
                        run_role("sync", [&*machine.url, &*machine.home()])?
                    }
                };
                if numbers.need("found")? > 0.0 {
                    outcome = "read";
                }
                times.add(numbers.need("seconds")?);
                peak.extend(numbers.get("peak_bytes"));
            }
            let what = format!("{what}, {reader}");
            table.row(&what, &times.times(), outcome);
            table.memory("  peak memory", peak.largest(), PEAK_BAR);
        }
    }
    table.print();
    Ok(())
}
