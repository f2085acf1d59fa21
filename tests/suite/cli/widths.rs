//! What fits a terminal, however wide it is.

use std::fs;
use std::io::{self, BufWriter};
use std::time::{Duration, SystemTime};

use modelrack::cli::{Captured, Console, Mount, models_command, run};
use serde_json::{Value, json};

use super::shapes::stable;
use super::snapshot::assert_snapshot;
use super::{Ran, Sinks, run_line, run_words};
use crate::sources::repository::models::{ModelsToml, below, small_models};
use crate::support::bytes;
use crate::support::disk::flip;
use crate::support::forge::Forge;
use crate::support::rack::{CHUNK, Rack, chunks_but, sample};
use crate::support::registry::{Publication, digest};

/// A store and two sources, of which much can be said.
pub(super) struct Shop {
    pub(super) rack: Rack,
    forge: Forge,
}

impl Shop {
    pub(super) fn new() -> Self {
        let shop = Self {
            rack: Rack::new(),
            forge: Forge::start(),
        };
        let rack = &shop.rack;
        let described = |metadata| Publication {
            metadata,
            aliases: &["latest"],
            ..Publication::default()
        };
        let metadata = json!({
            "description": "Counts sheep at night, and says how many of them there were, in each of four languages",
            "type": "classification",
            "tags": ["night", "wool"],
            "accuracy": 0.97,
            "likes": 0,
            "gated": false,
        });
        rack.publish_as("barn/sheep v1", &sample(), &described(metadata));
        let metadata = json!({"description": "日本語の説明、とても長い文章です。まだまだ続きます", "type": "text"});
        let files = [
            ("模型.bin", bytes(3 * CHUNK, 1)),
            ("b.txt", b"old".to_vec()),
        ];
        rack.publish_as("barn/日本語 v1", &files, &described(metadata));
        let control = json!({"description": "rings \u{7} and \u{1b}[31mcolours"});
        rack.publish_as("barn/bell v1", &[("x", b"x")], &described(control));
        let half = rack.publish(
            "barn/a-model-with-a-name-that-is-longer-than-most v1",
            &[("half.bin", bytes(5000, 7))],
        );
        let tree = below("mf6", &small_models());
        let mut registry = ModelsToml::of(&small_models()).root("mf6");
        registry = registry.example("both", &["ex-gwf-twri01", "test001a_Tharmonic"]);
        let entry = (".registry/models.toml".to_owned(), registry.into());
        shop.forge
            .repo("o/models")
            .commit("develop", tree.into_iter().chain([entry]));

        shop.run("sync --source mf6/test --ref develop").success();
        for line in [
            "pull weights/barn/sheep v1",
            "pull weights/barn/日本語 v1",
            "pull mf6/test@develop/test001a_Tharmonic",
        ] {
            shop.run(line).success();
        }
        let index = "/models.json".to_owned();
        let manifest = format!("/data/{}", half.manifest_digest);
        let broken = chunks_but(&[&half])
            .and(move |request| request.path != index && request.path != manifest);
        rack.server.rule(broken.nth(3).status(404));
        let line = "pull weights/barn/a-model-with-a-name-that-is-longer-than-most --concurrency 1";
        assert_eq!(shop.run(line).code, 5);
        rack.server.clear_rules();
        shop
    }

    pub(super) fn mount(&self) -> Mount {
        let sources = format!(
            "[sources.weights]\nurl = \"{}\"\n[sources.testmodels]\nrepo = \"o/models\"\nname = \
             \"mf6/test\"\nserver = \"{}\"\nrefs = [\"develop\", \"master\"]\n",
            self.rack.server.url(),
            self.forge.url()
        );
        let environment = self.rack.environment().variable("NO_COLOR", "1");
        Mount::new(self.rack.bare_config().bootstrap(sources)).environment(environment)
    }

    pub(super) fn run(&self, line: &str) -> Ran {
        run_line(&self.mount(), line)
    }

    pub(super) fn run_at(&self, line: &str, columns: usize) -> Ran {
        let words: Vec<&str> = line.split(' ').collect();
        run_words(&self.mount(), &words, Sinks::Columns(columns))
    }

    /// What a terminal shows, results and messages in the order in which they come.
    fn shown(&self, line: &str, columns: usize) -> String {
        let shown = Captured::default();
        let console = Console::new(BufWriter::new(shown.clone()), shown.clone());
        let mount = self.mount().console(console.terminal(columns, io::empty()));
        let words = ["models"].into_iter().chain(line.split(' '));
        let matches = models_command(&mount).try_get_matches_from(words).unwrap();
        let _ = run(&mount, &matches);
        // On a slow machine, progress stood in a line before.
        let shown = shown.text();
        let last = |line: &str| line.rsplit('\r').next().unwrap_or_default().to_owned() + "\n";
        shown.lines().map(last).collect()
    }

    /// Offers so many models more.
    fn offer_many(&self) {
        let mut index = self.rack.index();
        for number in 0..60 {
            let model = format!("model-{number:02}");
            index["many"][model]["v1"] = json!({"hash": digest(b"nothing")});
        }
        fs::write(self.rack.registry().join("models.json"), index.to_string()).unwrap();
    }

    /// Changes when a model was installed, or an unfinished pull was touched.
    fn set_time(&self, model: &str, version: &str, time: &str) {
        let mut record = self.rack.record();
        let (group, name) = model.rsplit_once('/').unwrap();
        record[group][name][version]["installed_at"] = json!(time);
        fs::write(self.rack.store().join("registry.json"), record.to_string()).unwrap();
    }
}

/// The columns that a text takes.
pub(super) fn width(text: &str) -> usize {
    let is_wide = |c: char| matches!(c, '\u{1100}'..='\u{115f}' | '\u{2e80}'..='\u{ffe6}');
    text.chars().map(|c| 1 + usize::from(is_wide(c))).sum()
}

const WIDTHS: [usize; 4] = [60, 80, 100, 160];

/// Commands whose results are tables.
pub(super) const TABLES: [&str; 6] = [
    "list",
    "list --remote weights/barn",
    "list --examples",
    "search sheep",
    "search sheep --remote",
    "pull weights/barn/* --dry-run",
];

#[test]
fn every_command_at_four_widths() {
    let shop = Shop::new();
    let mut text = String::new();
    let mut show = |line: &str| {
        for columns in WIDTHS {
            let shown = stable(&shop.rack, &shop.shown(line, columns));
            let shown = shown
                .replace(&shop.forge.url(), "<host>")
                .replace("<temp>/home/AppData/Roaming", "<temp>/home/.config");
            text += &format!(
                "$ {line}   ({columns} columns)\n{}\n",
                without_minutes(&shown)
            );
        }
    };
    TABLES.iter().for_each(|line| show(line));
    show("info");
    show("info mf6/test");
    show("info weights/barn/sheep");
    show("info weights/barn/sheep v1 --remote");
    show("info mf6/test/test001a_Tharmonic");
    show("pull weights/barn/bell v1 --dry-run");
    show("verify");
    show("update");
    show("remove weights/barn/none");
    flip(
        &shop.rack.store().join("weights/barn/sheep/v1/labels.txt"),
        1,
    );
    shop.rack.publish("barn/日本語 v1", &[("b.txt", b"new")]);
    show("verify");
    show("update");
    shop.offer_many();
    show("list --remote");
    assert_snapshot("widths.txt", &text);
}

/// Replaces the minute at which something was done.
fn without_minutes(text: &str) -> String {
    let line = |line: &str| match line.split_once(" (20") {
        Some((before, after)) if after.ends_with(" UTC)") => format!("{before} (<time>)"),
        _ => line.to_owned(),
    };
    text.lines().map(|text| line(text) + "\n").collect()
}

#[test]
fn no_table_is_wider_than_the_terminal() {
    let shop = Shop::new();
    for line in TABLES {
        for columns in [20, 33, 47, 60, 80, 100] {
            let ran = shop.run_at(line, columns);
            // Sentences below a table are wrapped by the terminal.
            let table = ran.out.split("\n\n").next().unwrap();
            for row in table.lines() {
                assert!(width(row) <= columns, "{line} at {columns}: {row}");
            }
            assert!(!ran.out.contains(['\u{1b}', '\u{7}']), "{}", ran.out);
        }
    }
    // A pipe gets everything, however long.
    let whole = shop.run("list --remote weights/barn").success();
    assert!(whole.contains("in each of four languages"), "{whole}");
    assert!(
        whole.lines().all(|line| line.split('\t').count() == 6),
        "{whole}"
    );
}

#[test]
fn many_offers_are_summed_for_people_unless_they_ask_for_all() {
    let shop = Shop::new();
    let lines = |ran: Ran| ran.out.lines().count();
    assert!(!shop.run_at("list --remote", 80).out.contains("MODELS"));
    shop.offer_many();
    let summed = shop.run_at("list --remote", 80);
    assert!(
        summed.out.contains("\nweights   -        67      2\n"),
        "{summed:?}"
    );
    assert!(
        summed.out.contains("\nmf6/test  develop  3       1\n"),
        "{summed:?}"
    );
    assert!(
        summed.out.contains("\n70 models, 3 installed\n"),
        "{summed:?}"
    );
    let head_and_sum = 3;
    assert_eq!(
        lines(shop.run_at("list --remote --all", 80)),
        70 + head_and_sum
    );
    assert_eq!(
        lines(shop.run_at("list --remote weights/many", 80)),
        60 + head_and_sum
    );
    // Programs get the rows, and so does who wants names only.
    assert_eq!(lines(shop.run("list --remote")), 70);
    assert_eq!(lines(shop.run_at("list --remote --quiet", 80)), 70);
    let document: Value = shop.run("list --remote --json").json();
    assert_eq!(document["models"].as_array().unwrap().len(), 70);
}

#[test]
fn ages_are_for_people_and_times_for_programs() {
    let shop = Shop::new();
    let ago = SystemTime::now() - Duration::from_secs(3 * 3600 + 60);
    let seconds = ago.duration_since(SystemTime::UNIX_EPOCH).unwrap();
    let ago = jiff::Timestamp::from_second(seconds.as_secs().try_into().unwrap()).unwrap();
    shop.set_time("weights/barn/sheep", "v1", &ago.to_string());
    // By a clock that has since been set back.
    shop.set_time("weights/barn/日本語", "v1", "2107-01-02T03:04:05Z");
    let ran = shop.run_at("list", 160);
    assert!(ran.out.contains("  3 hours ago "), "{}", ran.out);
    assert!(ran.out.contains("  2107-01-02 03:04 UTC "), "{}", ran.out);
    let piped = shop.run("list").quiet_success();
    assert!(piped.contains(&format!("\t{ago}\tweights\n")), "{piped}");
    assert!(
        piped.contains("\t2107-01-02T03:04:05Z\tweights\n"),
        "{piped}"
    );
}

#[test]
fn colours_say_state_at_a_terminal() {
    let shop = Shop::new();
    let run = |variables: &[(&str, &str)], sinks| {
        let environment = shop.rack.environment();
        let environment = variables.iter().fold(environment, |all, (name, value)| {
            all.variable(*name, *value)
        });
        run_words(&shop.mount().environment(environment), &["list"], sinks).out
    };
    let shown = run(&[], Sinks::Columns(100));
    assert!(shown.contains("\u{1b}[32mavailable\u{1b}[0m"), "{shown:?}");
    assert!(shown.contains("\u{1b}[31mfailed\u{1b}[0m"), "{shown:?}");
    for (variables, sinks) in [
        (&[][..], Sinks::Captured),
        (&[("NO_COLOR", "1")], Sinks::Columns(100)),
        (&[("CLICOLOR", "0")], Sinks::Columns(100)),
        (&[("TERM", "dumb")], Sinks::Columns(100)),
        (
            &[("NO_COLOR", "1"), ("CLICOLOR_FORCE", "1")],
            Sinks::Captured,
        ),
    ] {
        assert!(!run(variables, sinks).contains('\u{1b}'), "{variables:?}");
    }
    assert!(run(&[("CLICOLOR_FORCE", "1")], Sinks::Captured).contains('\u{1b}'));
}
