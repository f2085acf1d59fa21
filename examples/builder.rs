//! Mounting with clap's builder, under another name and with a flag that the parent defines itself:
//! `cargo run --example builder -- --json weights list`
use clap::{Arg, ArgAction, Command};
use modelrack::Config;
use modelrack::cli::{Exit, Flag, Mount, Output, models_command, run};

fn main() -> Exit {
    let config = Config::new("tool").registry_url("https://models.example.org");
    let mount = Mount::new(config).name("weights").without([Flag::Json]);
    let matches = Command::new("tool")
        .subcommand_required(true)
        .arg(
            Arg::new("json")
                .long("json")
                .action(ArgAction::SetTrue)
                .global(true),
        )
        .subcommand(models_command(&mount))
        .get_matches();
    let mount = mount.output(Output::default().json(matches.get_flag("json")));
    match matches.subcommand() {
        Some(("weights", matches)) => run(&mount, matches),
        _ => unreachable!("clap requires one of the commands"),
    }
}
