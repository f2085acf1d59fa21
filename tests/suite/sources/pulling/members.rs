//! Large members of a zip: a pull that fails in the middle of one goes on there.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use modelrack::{CancelToken, Manager, ProgressEvent, PullOptions};

use super::zips::{ALPHA, ZIP};
use super::{Site, changed, model};
use crate::sources::repository::models::{Hashes, ModelsToml, NamedFile};
use crate::support::disk::{files_below, flip};
use crate::support::forge::{zip, zip_stored};
use crate::support::recorder::Recorder;
use crate::support::server::Rule;
use crate::support::{address, bytes, chain};

const MIB: u64 = 1 << 20;
/// A pull that fails has written all but what its buffers still had.
const SLACK: u64 = 600 << 10;

type Pack = fn(&[NamedFile]) -> Vec<u8>;
const PACKS: [Pack; 2] = [zip::<String, Vec<u8>>, zip_stored::<String, Vec<u8>>];

/// Bytes that deflate to half their size.
fn text(len: usize, seed: u64) -> Vec<u8> {
    bytes(len, seed)
        .iter()
        .map(|byte| b'a' + byte % 16)
        .collect()
}

/// `alpha`, of which one request brings the first files, and another one the last.
fn files() -> Vec<NamedFile> {
    let files = [
        ("a", text(3 << 20, 1)),
        ("b", text(10 << 20, 2)),
        ("c", text(1000, 3)),
    ];
    model("alpha", &files)
}

fn hashed(toml: ModelsToml) -> ModelsToml {
    toml
}

fn unhashed(toml: ModelsToml) -> ModelsToml {
    toml.hashes(Hashes::Missing)
}

fn one_at_a_time() -> PullOptions {
    PullOptions::default().concurrency(1)
}

/// Lets a pull fail in the middle of `b`; returns how much of the zip was sent.
fn fail_in_b(site: &Site) -> u64 {
    let server = site.forge.server();
    let is_down = Arc::new(AtomicBool::new(false));
    let seen = is_down.clone();
    let down = Rule::path_starts(ZIP).and(move |_| seen.load(Ordering::SeqCst));
    server.rule(down.status(404));
    let cut = Rule::path_starts(ZIP).nth(4).cut_after(3 * MIB);
    server.rule(cut.on_request(move || is_down.store(true, Ordering::SeqCst)));
    let failed = site.pull_release_with("mf6/test/alpha", &one_at_a_time());
    assert_eq!(failed.unwrap_err().code(), "NETWORK_ERROR");
    server.clear_rules();
    let sent = sent(site);
    server.reset_counts();
    sent
}

/// How much was sent of members.
fn sent(site: &Site) -> u64 {
    let of_members = site.of_storage().into_iter().skip(2);
    of_members.map(|request| request.body_bytes).sum()
}

/// What is kept of the member `b`, as it is in the zip.
fn kept_raw(site: &Site) -> PathBuf {
    let partial = site.rack.store().join("cache").join(&site.rack.cache()[0]);
    let members = files_below(&partial.join("members"));
    let [name] = members.keys().collect::<Vec<_>>()[..] else {
        panic!("{:?}", members.keys())
    };
    partial.join("members").join(name)
}

#[test]
fn a_member_that_failed_goes_on_where_it_was() {
    for pack in PACKS {
        for change in [hashed, unhashed] {
            let files = files();
            let zip = pack(&files);
            let site = Site::of_zip(zip.clone(), change(ModelsToml::of(&files)));
            let sent_before = fail_in_b(&site);
            assert!(sent_before > 3 * MIB, "{sent_before}");
            let manager = site.manager_at(&["current"]);
            let plan = manager.plan_pull(&address("mf6/test/alpha"), &one_at_a_time());
            let plan = plan.unwrap();
            site.forge.server().reset_counts();
            let report = manager.execute(&plan).unwrap();
            site.assert_installed(ALPHA, "alpha", &files);
            assert_eq!(report.bytes_resumed, plan.bytes_resumed);
            let difference = report.bytes_fetched.abs_diff(plan.bytes_to_fetch);
            assert!(difference < 1000, "{report:?} {plan:?}");
            let all = sent_before + report.bytes_fetched;
            assert!(all < zip.len() as u64 + SLACK, "{all} of {}", zip.len());
        }
    }
}

#[test]
fn a_cancelled_member_goes_on_and_again() {
    const EACH: u64 = 2 * MIB;
    for pack in PACKS {
        let files = files();
        let zip = pack(&files);
        let site = Site::of_zip(zip.clone(), ModelsToml::of(&files));
        for _ in 0..3 {
            let cancel = CancelToken::new();
            let enough = cancel.clone();
            let recorder = Recorder::calling(move |_, event| {
                if matches!(event, ProgressEvent::Advanced(at) if at.bytes_network >= EACH) {
                    enough.cancel();
                }
            });
            let options = one_at_a_time().cancel(cancel).progress(Arc::new(recorder));
            let error = site.pull_release_with("mf6/test/alpha", &options);
            assert!(error.unwrap_err().is_cancelled());
        }
        let report = site.pull_release("mf6/test/alpha").unwrap();
        site.assert_installed(ALPHA, "alpha", &files);
        // Each lacks what its buffers still had.
        let most = zip.len() as u64 - 3 * (EACH - SLACK);
        assert!(report.bytes_fetched < most, "{report:?}, {most}");
    }
}

#[test]
fn members_of_another_zip_are_never_joined() {
    let files = files();
    let other = changed(&files, "alpha/b", &text(10 << 20, 9));
    let other = changed(&other, "alpha/a", &text(3 << 20, 8));
    for pack in PACKS {
        for other_pack in PACKS {
            // Without hashes, what the release has now is what is wanted.
            let toml = unhashed(ModelsToml::of(&files));
            let site = Site::of_zip(pack(&files), toml.clone());
            fail_in_b(&site);
            site.release(other_pack(&other), toml);
            let report = site.pull_release("mf6/test/alpha").unwrap();
            site.assert_installed(ALPHA, "alpha", &other);
            assert_eq!(report.bytes_resumed, 0, "nothing tells that it is the same");

            // A hash tells what is still right.
            let toml = ModelsToml::of(&files);
            let site = Site::of_zip(pack(&files), toml.clone());
            fail_in_b(&site);
            site.release(other_pack(&changed(&files, "alpha/c", &[])), toml.clone());
            let error = site.pull_release("mf6/test/alpha").unwrap_err();
            assert_eq!(error.code(), "HASH_MISMATCH", "{}", chain(&error));
            site.release(other_pack(&files), toml);
            let report = site.pull_release("mf6/test/alpha").unwrap();
            site.assert_installed(ALPHA, "alpha", &files);
            assert!(report.bytes_resumed >= 3 * MIB, "{report:?}");
        }
    }
}

#[test]
fn kept_bytes_that_are_wrong_come_again() {
    for pack in PACKS {
        for change in [hashed, unhashed] {
            let files = files();
            let site = Site::of_zip(pack(&files), change(ModelsToml::of(&files)));
            fail_in_b(&site);
            let raw = kept_raw(&site);
            let is_deflated = fs::metadata(&raw).unwrap().len() > 1000;
            match is_deflated {
                true => flip(&raw, 2 << 20),
                false => flip(
                    &raw.ancestors().nth(3).unwrap().join("files").join("b"),
                    5000,
                ),
            }
            // At once: it is no fault of the server.
            let recorder = Arc::new(Recorder::default());
            let options = PullOptions::default().progress(recorder.clone());
            site.pull_release_with("mf6/test/alpha", &options).unwrap();
            let events = recorder.events();
            let is_retry = |event: &ProgressEvent| matches!(event, ProgressEvent::Retrying { .. });
            assert!(!events.iter().any(is_retry), "{events:?}");
            site.assert_installed(ALPHA, "alpha", &files);
        }
    }
}

#[test]
fn a_member_that_is_here_but_for_its_end_goes_on() {
    // Whatever is cut from what is kept, the rest comes.
    for pack in PACKS {
        for cut in [0, 1, 40] {
            let files = files();
            let site = Site::of_zip(pack(&files), ModelsToml::of(&files));
            fail_in_b(&site);
            let raw = kept_raw(&site);
            let file = fs::OpenOptions::new().write(true).open(&raw).unwrap();
            let length = file.metadata().unwrap().len();
            file.set_len(length.saturating_sub(cut)).unwrap();
            drop(file);
            site.pull_release("mf6/test/alpha").unwrap();
            site.assert_installed(ALPHA, "alpha", &files);
        }
    }
}
