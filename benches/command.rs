//! Building the command tree, as every start of a parent does.

mod support;

use std::hint::black_box;

use modelrack::Config;
use modelrack::cli::{Mount, models_command};
use support::{Result, Start, Table, seconds, time};

fn main() -> Result<()> {
    const BAR: f64 = 0.001;
    let Start::Bench(arguments) = Start::read()? else {
        return Ok(());
    };
    let mount = Mount::new(Config::new("tool").registry_url("https://models.example.org"));
    let runs = arguments.runs(100);
    let building = time(runs, || Ok(black_box(models_command(black_box(&mount)))))?;
    let parsing = time(runs, || {
        let parent = clap::Command::new("tool").subcommand(models_command(&mount));
        let line = ["tool", "models", "pull", "group/model", "v1", "--json"];
        Ok(black_box(parent.try_get_matches_from(line)?))
    })?;
    let mut table = Table::new("command: the tree");
    table.limit("building", building.median(), BAR, seconds, "");
    table.limit("building and parsing", parsing.median(), BAR, seconds, "");
    table.print();
    Ok(())
}
