//! Processes killed in the middle of members of a release's zip, and of files whose sizes nobody states.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::program::{Running, finish, rack as program};
use super::site::listed_bytes;
use crate::sources::repository::models::{ModelsToml, NamedFile, below};
use crate::support::bytes;
use crate::support::forge::{Forge, Repo, zip, zip_stored};
use crate::support::rack::Rack;
use crate::support::server::{Request, Rule};

const MIB: u64 = 1 << 20;
const WORKERS: u64 = 4;
const ZIP: &str = "/storage/o/models/current/models.zip";
const RAW: &str = "/o/models/raw/";

/// A machine with one source, a repository.
struct Site {
    forge: Forge,
    repo: Repo,
    machine: Rack,
    config: PathBuf,
}

impl Site {
    fn new(reference: &str) -> Self {
        let (forge, machine) = (Forge::start(), Rack::new());
        let config = machine.temp.path().join("sources.toml");
        let source = format!(
            "repo = \"o/models\"\nname = \"m\"\nrefs = [\"{reference}\"]\nserver = \"{}\"\n",
            forge.url()
        );
        let off = ["digits", "modflow6-testmodels", "modflow6-examples", "hf"];
        let off = off.map(|key| format!("[sources.{key}]\nrefs = []\n"));
        fs::write(&config, format!("[sources.own]\n{source}{}", off.concat())).unwrap();
        let repo = forge.repo("o/models");
        Self {
            forge,
            repo,
            machine,
            config,
        }
    }

    fn command(&self, line: &str) -> Command {
        let mut command = program(&self.machine, line);
        command
            .env("RACK_MODELS_CONFIG", &self.config)
            .env_remove("RACK_MODELS_REGISTRY_URL");
        command
    }

    /// Pulls, and kills the process once that much is here. What a rule lets through stalls.
    fn kill_when(&self, line: &str, rule: Rule, is_due: impl Fn(&Path) -> bool) {
        self.forge.server().rule(rule);
        let mut running = Running::start(self.command(line));
        running.wait_until(|| {
            self.machine
                .partial()
                .is_some_and(|partial| is_due(&partial))
        });
        assert!(running.kill().1);
        self.forge.server().clear_rules();
    }

    /// How much was sent of what has this path, without requests of a few bytes.
    fn sent(&self, path: &str) -> u64 {
        let requests = self.forge.server().requests().into_iter();
        let requests = requests.filter(|request| request.path.starts_with(path));
        requests.map(|request| request.body_bytes).sum()
    }
}

/// Six files of 6 MiB that deflate to half their size, and a small one.
fn files() -> Vec<NamedFile> {
    let large = (0..6).map(|number| {
        let bytes = bytes(6 << 20, number).into_iter();
        let text: Vec<u8> = bytes.map(|byte| b'a' + byte % 16).collect();
        (format!("large/{number}"), text)
    });
    let name_file = ("large/mfsim.nam".to_owned(), b"# large\n".to_vec());
    large.chain([name_file]).collect()
}

/// Whether a request is for a large member.
fn is_large(request: &Request) -> bool {
    let range = request.header("range").unwrap_or_default();
    let range = range.trim_start_matches("bytes=").split_once('-');
    let Some((Ok(begin), Ok(end))) = range.map(|(a, b)| (a.parse::<u64>(), b.parse::<u64>()))
    else {
        return false;
    };
    request.path.starts_with(ZIP) && end - begin > 100_000
}

#[test]
fn members_that_are_killed_go_on_where_they_were() {
    let files = files();
    for (zip, is_stored) in [(zip(&files), false), (zip_stored(&files), true)] {
        let site = Site::new("current");
        site.repo.commit("develop", [("README.md", "nothing here")]);
        let toml: Vec<u8> = ModelsToml::of(&files).asset("models.zip").into();
        let assets = [("models.toml", toml), ("models.zip", zip.clone())];
        site.repo.release("current", assets);
        assert_eq!(finish(site.command("sync")).code, 0);
        site.forge.server().reset_counts();
        let pull = format!("pull m/large --concurrency {WORKERS} --quiet");
        // What a worker has received, but for what the process still has of it in memory.
        let mut here = 0;
        for cut in [MIB + MIB / 2, MIB + MIB / 4] {
            here += WORKERS * (cut - MIB / 2);
            let stall = Rule::when(is_large).stall_after(cut);
            site.kill_when(&pull, stall, |partial| match is_stored {
                true => listed_bytes(partial) + WORKERS * MIB / 2 >= here,
                false => kept_bytes(&partial.join("members")) >= here,
            });
        }
        let plan = finish(site.command("pull m/large --dry-run --json")).json();
        let left = plan["bytes_to_fetch"].as_u64().unwrap();
        let sent_before = site.sent(ZIP);
        site.forge.server().reset_counts();
        let ran = finish(site.command("pull m/large --json"));
        assert_eq!(ran.code, 0, "{ran:?}");
        let fetched = ran.json()["bytes_fetched"].as_u64().unwrap();
        assert!(fetched.abs_diff(left) < 2000, "{fetched} {left}");
        // Each kill costs less than a step for each worker, and each pull reads the directory.
        let all = sent_before + site.sent(ZIP);
        let most = zip.len() as u64 + 2 * WORKERS * MIB + MIB / 2;
        assert!(all <= most, "{all} of {}", zip.len());
        site.machine
            .assert_files("m/large current", &inside(&files));
    }
}

/// How much the files below a folder have, which may go meanwhile.
fn kept_bytes(folder: &Path) -> u64 {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let sizes = entries.map(|entry| match entry.metadata() {
        Ok(found) if found.is_dir() => kept_bytes(&entry.path()),
        found => found.map_or(0, |found| found.len()),
    });
    sizes.sum()
}

fn inside(files: &[NamedFile]) -> Vec<(&str, &[u8])> {
    let inside = files.iter().map(|(name, bytes)| {
        let name = name.strip_prefix("large/").unwrap();
        (name, bytes.as_slice())
    });
    inside.collect()
}

#[test]
fn a_file_of_unknown_size_that_is_killed_goes_on_where_it_was() {
    let files = files();
    let site = Site::new("develop");
    let mut tree = below("mf6", &files);
    let toml = ModelsToml::of(&files).without_sizes().root("mf6");
    tree.push((".registry/models.toml".to_owned(), toml.into()));
    site.repo.commit("develop", tree);
    assert_eq!(finish(site.command("sync")).code, 0);
    site.forge.server().reset_counts();
    let raw = || Rule::path_starts(RAW).chunked();
    let pull = format!("pull m/large --concurrency {WORKERS} --quiet");
    site.kill_when(&pull, raw().stall_after(2 * MIB + MIB / 2), |partial| {
        let sizes = fs::read_to_string(partial.join("sizes")).unwrap_or_default();
        let lines = sizes
            .lines()
            .filter_map(|line| line.strip_suffix('.')?.split_once(' '));
        let begun =
            lines.filter(|(_, bytes)| bytes.parse().is_ok_and(|bytes: u64| bytes >= 2 * MIB));
        begun.count() as u64 == WORKERS
    });
    let sent_before = site.sent(RAW);
    site.forge.server().reset_counts();
    site.forge.server().rule(raw());
    let ran = finish(site.command("pull m/large --json"));
    assert_eq!(ran.code, 0, "{ran:?}");
    let total: u64 = files.iter().map(|(_, bytes)| bytes.len() as u64).sum();
    let fetched = ran.json()["bytes_fetched"].as_u64().unwrap();
    let resumed = ran.json()["bytes_resumed"].as_u64().unwrap();
    assert_eq!(fetched + resumed, total);
    let all = sent_before + site.sent(RAW);
    assert!(all < total + WORKERS * MIB, "{all} of {total}");
    site.machine
        .assert_files("m/large develop", &inside(&files));
}
