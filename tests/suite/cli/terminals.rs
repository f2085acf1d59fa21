//! Terminals that are narrow, closed, or of another age, and machines that lack what others have.

use std::io::{self, Write};

use modelrack::cli::{Console, Mount, models_command, run};
use modelrack::config::System;
use modelrack::transport::Url;
use modelrack::{Environment, Error, ErrorKind};

use super::recording::Recording;
use super::widths::{Shop, TABLES, width};
use super::{Ran, Sinks, mount, run_line, run_words};
use crate::support::platform::SYSTEM;
use crate::support::rack::Rack;

/// A command of each kind that prints; none of them changes what the next one prints.
const LINES: [&str; 17] = [
    "list",
    "list --quiet",
    "list --remote weights/barn",
    "list --examples",
    "search sheep",
    "pull weights/barn/sheep v1",
    "pull weights/barn/* --dry-run",
    "remove weights/barn/none -y",
    "info",
    "info weights/barn/sheep",
    "path weights/barn/sheep",
    "update",
    "verify",
    "prune --dry-run",
    "clear --source none -y",
    "sync --source weights",
    "list --json",
];

fn at(mount: &Mount, line: &str, columns: usize) -> Ran {
    let words: Vec<&str> = line.split(' ').collect();
    run_words(mount, &words, Sinks::Columns(columns))
}

#[test]
fn a_terminal_of_few_columns_or_none_breaks_nothing() {
    let shop = Shop::new();
    for line in LINES {
        let code = shop.run_at(line, 80).code;
        for columns in [0, 1, 2, 3, 7, 20] {
            let ran = shop.run_at(line, columns);
            assert_eq!(ran.code, code, "{line} at {columns}: {ran:?}");
        }
    }
    // Some say that they have no columns, and have as many as others.
    let (none, wide) = (shop.run_at("list", 0), shop.run_at("list", 1000));
    assert_eq!(none.out, wide.out);
    assert!(none.out.contains("than-most"), "{none:?}");
}

#[test]
fn a_locale_that_is_not_utf_8_gets_ascii_and_names_as_they_are() {
    let shop = Shop::new();
    let home = shop.rack.temp.path().join("home");
    let in_locale = |variables: &[(&str, &str)], system| {
        let none = Environment::empty(system, &home).variable("NO_COLOR", "1");
        let set = |all: Environment, (name, value): &(&str, &str)| all.variable(*name, *value);
        variables.iter().fold(none, set)
    };
    let list = |environment| at(&shop.mount().environment(environment), "list", 60).out;
    let unicode = "weights/barn/a-model-with-a-name-that-is-longer-th…  v1";
    let ascii = "weights/barn/a-model-with-a-name-that-is-longer-...  v1";
    for (variables, system, expected) in [
        (&[][..], System::Linux, unicode),
        (&[("LANG", "de_DE.UTF-8")], System::Linux, unicode),
        (
            &[("LC_ALL", "C.utf8"), ("LANG", "C")],
            System::MacOs,
            unicode,
        ),
        (
            &[("LC_ALL", "C"), ("LANG", "de_DE.UTF-8")],
            System::Linux,
            ascii,
        ),
        (&[("LC_CTYPE", "POSIX")], System::MacOs, ascii),
        (&[("LANG", "de_DE.ISO-8859-1")], System::Linux, ascii),
        (&[("LANG", "de_DE")], System::Linux, ascii),
        // Its consoles show everything, in whichever code page.
        (&[("LC_ALL", "C")], System::Windows, unicode),
    ] {
        let shown = list(in_locale(variables, system));
        assert!(shown.contains(expected), "{variables:?}: {shown}");
        assert!(shown.contains("weights/barn/日本語"), "{shown}");
    }
    let c = || in_locale(&[("LC_ALL", "C")], System::Linux);
    for line in TABLES {
        for columns in [20, 33, 60, 100] {
            let ran = at(&shop.mount().environment(c()), line, columns);
            assert!(
                !(ran.out.clone() + &ran.err).contains('…'),
                "{line}: {ran:?}"
            );
            let table = ran.out.split("\n\n").next().unwrap();
            for row in table.lines() {
                assert!(width(row) <= columns, "{line} at {columns}: {row}");
            }
        }
    }
    let error = Error::from(ErrorKind::Network {
        url: Url::parse("https://models.example.org/x?signature=1")
            .unwrap()
            .into(),
        status: None,
        message: "connection refused".to_owned(),
        server_code: None,
        source: None,
    });
    let mount = shop
        .mount()
        .manager(Recording::failing(error))
        .environment(c());
    let err = run_line(&mount, "list").err;
    assert!(err.contains("(https://models.example.org/x?...)"), "{err}");
}

#[test]
fn names_of_every_script_take_the_columns_that_they_have() {
    let rack = Rack::new();
    for name in ["שלום/דגם", "g/e\u{301}tude", "日本語/模型", "نموذج/م"] {
        rack.publish(&format!("{name} v1"), &[("x", b"x")]);
    }
    let mount = mount(&rack);
    for columns in 20..50 {
        let ran = at(&mount, "list --remote", columns);
        for row in ran.out.lines().take_while(|row| !row.is_empty()) {
            assert!(width(row) <= columns + 1, "{columns}: {row}");
        }
    }
    let listed = run_line(&mount, "list --remote --quiet").success();
    for name in [
        "שלום/דגם v1",
        "g/e\u{301}tude v1",
        "日本語/模型 v1",
        "نموذج/م v1",
    ] {
        assert!(listed.lines().any(|line| line == name), "{name}: {listed}");
        run_line(&mount, &format!("pull {name}")).success();
    }
}

/// A stream whose reader is gone.
struct Closed;

impl Write for Closed {
    fn write(&mut self, _: &[u8]) -> io::Result<usize> {
        Err(io::ErrorKind::BrokenPipe.into())
    }

    fn flush(&mut self) -> io::Result<()> {
        Err(io::ErrorKind::BrokenPipe.into())
    }
}

fn run_at(mount: &Mount, line: &str, console: Console) -> u8 {
    let words = ["models"].into_iter().chain(line.split(' '));
    let matches = models_command(mount).try_get_matches_from(words).unwrap();
    run(&mount.clone().console(console), &matches).code()
}

#[test]
fn a_closed_pipe_ends_no_command_otherwise_than_an_open_one() {
    let shop = Shop::new();
    let mount = shop.mount();
    for line in LINES {
        let open = shop.run(line);
        let (_, out, err) = Console::captured();
        let code = run_at(&mount, line, Console::new(Closed, err.clone()));
        // Nobody reads what there would be to say of the rest.
        assert!(code == open.code || code == 0, "{line}: {code} {open:?}");
        assert!(!err.text().contains("cannot print"), "{line}: {err:?}");
        let code = run_at(&mount, line, Console::new(out.clone(), Closed));
        assert_eq!((code, out.text()), (open.code, open.out), "{line}");
        run_at(&mount, line, Console::new(Closed, Closed));
    }
}

#[test]
fn a_machine_without_a_home_says_so_unless_all_is_elsewhere() {
    let rack = Rack::with_model();
    for home in ["", "relative"] {
        let homeless = Environment::empty(SYSTEM, home);
        let config = modelrack::Config::new("rack").registry_url(rack.server.url());
        let mount = Mount::new(config).environment(homeless.clone());
        for line in ["list", "pull g/m v1", "info --json"] {
            let ran = run_line(&mount, line);
            assert_eq!(ran.code, 1, "{line}: {ran:?}");
            let said = ran.out + &ran.err;
            assert!(
                said.contains("the home folder is unknown: set HOME"),
                "{said}"
            );
        }
        let sources = rack.temp.path().join("sources.toml");
        std::fs::write(&sources, "").unwrap();
        let elsewhere = homeless.variable("RACK_MODELS_CONFIG", sources);
        let mount = Mount::new(rack.config()).environment(elsewhere);
        run_line(&mount, "pull g/m v1").success();
        run_line(&mount, "list --remote").success();
    }
}
