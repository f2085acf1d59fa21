//! Mounting with derive: `cargo run --example derive -- models list --remote`
use clap::Parser;
use modelrack::Config;
use modelrack::cli::{Exit, Host, ModelsArgs, Mount};

struct Tool;

impl Host for Tool {
    fn mount() -> Mount {
        Mount::new(Config::new("tool").registry_url("https://models.example.org"))
    }
}

#[derive(Parser)]
enum Cli {
    /// Find, download, verify and remove models
    Models(ModelsArgs<Tool>),
}

fn main() -> Exit {
    let Cli::Models(models) = Cli::parse();
    models.run()
}
