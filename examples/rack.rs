//! The reference CLI: nothing but `models`, with everything that a parent can take care of.
//!
//! Its sources are in `examples/rack.toml`: one of each kind, the first of them the registry in `examples/registry`, which
//! `registry publish` made of `examples/digits`. Set `RACK_MODELS_REGISTRY_URL` to use one more.

#![allow(
    clippy::print_stderr,
    clippy::exit,
    reason = "a program may print and exit, the library may not"
)]

use std::path::Path;

use clap::Parser;
use modelrack::cli::{Exit, Host, ModelsArgs, Mount};
use modelrack::{CancelToken, Config, Url};

/// A small tool with models
#[derive(Parser)]
#[command(name = "rack", version)]
enum Rack {
    Models(ModelsArgs<Digits>),
}

struct Digits;

impl Host for Digits {
    fn mount() -> Mount {
        let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples");
        // A program that was built on another system may name its folder without a drive.
        let registry = std::path::absolute(examples.join("registry"));
        let url = registry.ok().and_then(|path| Url::from_path(&path).ok());
        let url = url.map_or_else(
            || "https://models.example.org".to_owned(),
            |url| url.to_string(),
        );
        let sources = include_str!("rack.toml").replace("{registry}", &url);
        Mount::new(Config::new("rack").bootstrap(sources))
    }
}

fn main() -> Exit {
    // The first Ctrl-C lets pulls stop where they can go on later; the second one ends the process.
    let cancel = CancelToken::new();
    let token = cancel.clone();
    let handler = ctrlc::set_handler(move || {
        if token.is_cancelled() {
            std::process::exit(130);
        }
        token.cancel();
    });
    if let Err(error) = handler {
        eprintln!("rack: Ctrl-C ends at once: {error}");
    }
    let Rack::Models(models) = Rack::parse();
    models.run_with(&Digits::mount().cancel(cancel))
}
