//! The reference CLI: the `models` command, and what a parent adds around it: Ctrl-C and shell completion.
//!
//! Its sources are listed in `examples/rack.toml`: one of each kind. The first is the registry in `examples/registry`,
//! which `registry publish` made from `examples/digits`. Set `RACK_MODELS_REGISTRY_URL` to add another.

#![allow(
    clippy::print_stderr,
    clippy::exit,
    reason = "unlike the library, a program may print and exit"
)]

use std::io::{ErrorKind, Write};
use std::path::Path;
use std::process::ExitCode;

use clap::{CommandFactory, Parser};
use clap_complete::Shell;
use modelrack::cli::{Host, ModelsArgs, Mount};
use modelrack::transport::Url;
use modelrack::{CancelToken, Config};

/// A small tool with models
#[derive(Parser)]
#[command(name = "rack", version)]
enum Rack {
    Models(ModelsArgs<Digits>),
    /// Print a completion script for a shell
    ///
    /// For bash, for example: source <(rack completions bash)
    Completions {
        /// The shell to complete in
        shell: Shell,
    },
}

struct Digits;

impl Host for Digits {
    fn mount() -> Mount {
        let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples");
        // A program built on another system may name its folder without a drive.
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

fn main() -> ExitCode {
    // With this feature, `source <(COMPLETE=bash rack)` completes the names of models as well.
    #[cfg(feature = "unstable-completion")]
    clap_complete::CompleteEnv::with_factory(Rack::command).complete();

    // The first Ctrl-C stops a pull so that it can resume later; the second ends the process.
    let cancel = CancelToken::new();
    let token = cancel.clone();
    let handler = ctrlc::set_handler(move || {
        if token.is_cancelled() {
            std::process::exit(130);
        }
        token.cancel();
    });
    if let Err(error) = handler {
        eprintln!("rack: Ctrl-C will end the process at once: {error}");
    }
    match Rack::parse() {
        Rack::Models(models) => models.run_with(&Digits::mount().cancel(cancel)).into(),
        Rack::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Rack::command(), "rack", &mut script);
            match std::io::stdout().write_all(&script) {
                // Whoever reads the script may have seen enough.
                Err(error) if error.kind() != ErrorKind::BrokenPipe => ExitCode::FAILURE,
                _ => ExitCode::SUCCESS,
            }
        }
    }
}
