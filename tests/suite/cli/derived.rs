//! The tree below parents that derive their arguments.

use std::io;
use std::sync::Arc;

use clap::{CommandFactory, Parser, Subcommand};
use modelrack::Environment;
use modelrack::cli::{Console, Flag, Host, ModelsArgs, ModelsCommand, Mount, Output};

use super::mount::untouchable;
use super::recording::Recording;
use crate::support::platform::SYSTEM;

struct Tool;

impl Host for Tool {
    fn mount() -> Mount {
        Mount::new(untouchable()).console(Console::new(io::sink(), io::sink()))
    }
}

/// A parent that owns all flags that it can own.
struct Owner;

impl Host for Owner {
    fn mount() -> Mount {
        Mount::new(untouchable()).without([Flag::Json, Flag::Verbose, Flag::Yes])
    }
}

#[derive(Parser, Debug)]
#[command(name = "tool", version, propagate_version = true)]
enum Variant {
    /// What the parent says of it
    Models(ModelsArgs<Tool>),
    Serve,
}

#[derive(Parser, Debug)]
#[command(name = "tool")]
enum Renamed {
    Weights(ModelsArgs<Tool>),
}

#[derive(Parser, Debug)]
#[command(name = "tool")]
struct Field {
    #[command(flatten)]
    models: ModelsArgs<Tool>,
}

#[derive(Parser, Debug)]
#[command(name = "tool")]
enum Deep {
    #[command(subcommand)]
    Ai(Ai),
}

#[derive(Subcommand, Debug)]
enum Ai {
    Models(ModelsArgs<Tool>),
}

#[derive(Parser, Debug)]
#[command(name = "tool", version, propagate_version = true)]
enum Below {
    #[command(subcommand)]
    Weights(ModelsCommand<Tool>),
}

#[derive(Parser, Debug)]
#[command(name = "tool")]
enum Among {
    Serve,
    #[command(flatten)]
    Models(ModelsCommand<Tool>),
}

#[derive(Parser, Debug)]
#[command(name = "tool")]
struct Optional {
    #[command(subcommand)]
    command: Option<ModelsCommand<Tool>>,
}

#[derive(Parser, Debug)]
#[command(name = "tool")]
struct Owning {
    #[arg(long, global = true)]
    json: bool,
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    verbose: u8,
    #[arg(short, long, global = true)]
    yes: bool,
    /// Ids that are ours but for the prefix.
    #[arg(long = "vehicle", global = true)]
    model: Option<u16>,
    #[arg(long = "api", global = true, default_value_t = 3)]
    version: u16,
    #[command(subcommand)]
    command: OwningCommand,
}

#[derive(Subcommand, Debug)]
enum OwningCommand {
    Models(ModelsArgs<Owner>),
}

fn line(words: &str) -> impl Iterator<Item = &str> + Clone {
    words.split_whitespace()
}

/// A mount that records, with the command line as typed; and its status.
fn recorded(words: &str) -> (Mount, Arc<Recording>, impl Fn() -> String) {
    let manager = Recording::new();
    let (console, out, err) = Console::captured();
    let mount = Mount::new(untouchable())
        .manager(manager.clone())
        .environment(Environment::empty(SYSTEM, "home").arguments(line(words)))
        .console(console);
    (mount, manager, move || out.text() + &err.text())
}

#[test]
fn every_way_to_derive_it_makes_a_sound_tree() {
    Variant::command().debug_assert();
    Renamed::command().debug_assert();
    Field::command().debug_assert();
    Deep::command().debug_assert();
    Below::command().debug_assert();
    Among::command().debug_assert();
    Optional::command().debug_assert();
    Owning::command().debug_assert();
    for update in [
        Variant::command_for_update(),
        Below::command_for_update(),
        Among::command_for_update(),
        Optional::command_for_update(),
    ] {
        update.debug_assert();
    }
    let help = Variant::command().render_help().to_string();
    assert!(help.contains("What the parent says of it"), "{help}");
    let help = Renamed::command().render_help().to_string();
    assert!(help.contains("the models of tool"), "{help}");
}

#[test]
fn the_arguments_run_as_a_variant_as_a_field_and_deeper() {
    let words = "tool models pull g/m v1 --force";
    let (mount, manager, _) = recorded(words);
    let Variant::Models(models) = Variant::try_parse_from(line(words)).unwrap() else {
        panic!("another variant");
    };
    assert_eq!(models.run_with(&mount).code(), 130);
    assert_eq!(manager.calls(), ["pull g/m v1 force=true offline=false"]);
    assert!(matches!(
        Variant::try_parse_from(line("tool serve")),
        Ok(Variant::Serve)
    ));

    let words = "tool path g/m";
    let (mount, manager, _) = recorded(words);
    let field = Field::try_parse_from(line(words)).unwrap();
    assert_eq!(field.models.run_with(&mount).code(), 0);
    assert_eq!(manager.calls(), ["path g/m"]);

    let words = "tool ai models verify";
    let (mount, manager, _) = recorded(words);
    let Deep::Ai(Ai::Models(models)) = Deep::try_parse_from(line(words)).unwrap();
    assert_eq!(models.run_with(&mount).code(), 0);
    assert_eq!(manager.calls(), ["verify repair=false"]);

    // With the host's own mount.
    let Variant::Models(models) = Variant::try_parse_from(line("tool models list")).unwrap() else {
        panic!("another variant");
    };
    assert_eq!(models.run().code(), 1);
}

#[test]
fn the_commands_run_below_a_variant_and_among_the_parents_own() {
    let words = "tool weights cp g/m v1 folder --json";
    let (mount, manager, _) = recorded(words);
    let Below::Weights(command) = Below::try_parse_from(line(words)).unwrap();
    assert_eq!(command.run_with(&mount).code(), 130);
    assert_eq!(manager.calls(), ["copy g/m v1 to folder"]);

    let words = "tool ls";
    let (mount, manager, _) = recorded(words);
    let Among::Models(command) = Among::try_parse_from(line(words)).unwrap() else {
        panic!("another variant");
    };
    assert_eq!(command.run_with(&mount).code(), 0);
    assert_eq!(manager.calls(), ["list"]);
    assert!(matches!(
        Among::try_parse_from(line("tool serve")),
        Ok(Among::Serve)
    ));
    assert!(Among::try_parse_from(line("tool dance")).is_err());

    let optional = Optional::try_parse_from(line("tool info")).unwrap();
    assert!(optional.command.is_some());
    assert!(
        Optional::try_parse_from(line("tool"))
            .unwrap()
            .command
            .is_none()
    );
}

#[cfg(feature = "author")]
#[test]
fn a_derived_command_reports_what_failed() {
    let words = "tool registry publish --to r --json no/such/file";
    let (mount, _, text) = recorded(words);
    let Among::Models(command) = Among::try_parse_from(line(words)).unwrap() else {
        panic!("another variant");
    };
    assert_eq!(command.run_with(&mount).code(), 2);
    assert!(text().contains("INVALID_ARGUMENT"), "{}", text());
}

#[test]
fn a_parents_own_flags_go_their_way() {
    let words = "tool models prune -y --json -vv --vehicle 9";
    let parsed = Owning::try_parse_from(line(words)).unwrap();
    assert_eq!(
        (parsed.verbose, parsed.model, parsed.version),
        (2, Some(9), 3)
    );
    let (mount, manager, text) = recorded(words);
    let output = Output::default().json(parsed.json).yes(parsed.yes);
    let OwningCommand::Models(models) = &parsed.command;
    assert_eq!(models.run_with(&mount.output(output)).code(), 0);
    assert_eq!(manager.calls(), ["plan_prune"]);
    assert!(text().starts_with('{'), "{}", text());
}

#[test]
fn messages_quote_the_command_as_it_was_typed() {
    let quotes = |words: &'static str, expected: &str, run: &dyn Fn(&Mount)| {
        let (mount, _, text) = recorded(words);
        run(&mount);
        let expected = format!("'{expected} list --remote' shows");
        assert!(text().contains(&expected), "{words}: {}", text());
    };
    for (words, expected) in [
        ("tool weights list", "tool weights"),
        ("tool weights ls", "tool weights"),
        // A word that is the name it has elsewhere.
        ("tool weights list models", "tool weights"),
    ] {
        quotes(words, expected, &|mount| {
            let Renamed::Weights(models) = Renamed::try_parse_from(line(words)).unwrap();
            let _ = models.run_with(mount);
        });
        quotes(words, expected, &|mount| {
            let Below::Weights(command) = Below::try_parse_from(line(words)).unwrap();
            let _ = command.run_with(mount);
        });
    }
    for words in ["tool list", "tool ls models"] {
        quotes(words, "tool", &|mount| {
            let Among::Models(command) = Among::try_parse_from(line(words)).unwrap() else {
                panic!("another variant");
            };
            let _ = command.run_with(mount);
        });
    }
}

#[test]
fn an_update_replaces_what_was_parsed() {
    let mut parsed = Variant::try_parse_from(line("tool models list")).unwrap();
    parsed
        .try_update_from(line("tool models path g/m"))
        .unwrap();
    let (mount, manager, _) = recorded("tool models path g/m");
    let Variant::Models(models) = &parsed else {
        panic!("another variant");
    };
    let _ = models.run_with(&mount);
    assert_eq!(manager.calls(), ["path g/m"]);
    parsed.try_update_from(line("tool serve")).unwrap();
    assert!(matches!(parsed, Variant::Serve));

    let mut parsed = Below::try_parse_from(line("tool weights list")).unwrap();
    parsed
        .try_update_from(line("tool weights verify --repair"))
        .unwrap();
    let (mount, manager, _) = recorded("tool weights verify --repair");
    let Below::Weights(command) = &parsed;
    let _ = command.run_with(&mount);
    assert_eq!(manager.calls(), ["verify repair=true"]);

    let mut parsed = Optional::try_parse_from(line("tool")).unwrap();
    parsed.try_update_from(line("tool info")).unwrap();
    assert!(parsed.command.is_some());
}
