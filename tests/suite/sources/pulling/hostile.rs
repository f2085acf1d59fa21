//! Zips and servers that mean harm, or are merely strange: refused without a loss, or read as they are meant.

use modelrack::{ErrorKind, Manager, PullOptions};

use super::{Site, inside, model};
use crate::sources::repository::models::{ModelsToml, NamedFile};
use crate::support::forge::{zip, zip_stored};
use crate::support::{address, bytes, chain};

fn alpha() -> Vec<NamedFile> {
    let text = "1.0 2.0 3.0\n".repeat(200).into_bytes();
    model("alpha", &[("a", text), ("in/b", bytes(700, 2))])
}

/// A release with `alpha`, whose zip is this.
fn site_of(zip: Vec<u8>) -> Site {
    let site = Site::new();
    site.repo.commit("develop", [("README.md", "x")]);
    let toml: Vec<u8> = ModelsToml::of(&alpha()).asset("models.zip").into();
    site.repo
        .release("current", [("models.toml", toml), ("models.zip", zip)]);
    site.sync_at(&["current"]);
    site.forge.server().reset_counts();
    site
}

fn pull(site: &Site) -> modelrack::Result<modelrack::PullReport> {
    let manager = site.manager_at(&["current"]);
    manager.pull(&address("mf6/test/alpha"), &PullOptions::default())
}

/// Where the directory has the entry of a name.
fn entry_of(zip: &[u8], name: &str) -> usize {
    let entries = (0..zip.len() - 46).filter(|at| zip[*at..].starts_with(b"PK\x01\x02"));
    let mut named = entries.filter(|at| zip[at + 46..].starts_with(name.as_bytes()));
    named.next().unwrap()
}

/// Overwrites bytes of the directory's entry of a name, from a place in it on.
fn patched(mut zip: Vec<u8>, name: &str, at: usize, bytes: &[u8]) -> Vec<u8> {
    let entry = entry_of(&zip, name) + at;
    zip[entry..entry + bytes.len()].copy_from_slice(bytes);
    zip
}

/// Places in an entry of the directory.
const FLAGS: usize = 8;
const METHOD: usize = 10;
const CRC: usize = 16;
const SIZE: usize = 24;
const MODE: usize = 40;
const HEADER: usize = 42;

#[test]
fn a_zip_that_is_none_or_contradicts_itself_is_refused() {
    let good = || zip(&alpha());
    let link = 0o120_777_u16.to_le_bytes();
    // A model of one file, renamed to the same file of `alpha`.
    let mut twice = zip(&[alpha(), model("alphb", &[])].concat());
    while let Some(at) = find(&twice, b"alphb/") {
        twice[at..at + 6].copy_from_slice(b"alpha/");
    }
    let cases: Vec<(&str, Vec<u8>)> = vec![
        ("nothing", Vec::new()),
        (
            "a web page",
            b"<!DOCTYPE html><title>Sign in</title>".to_vec(),
        ),
        ("garbage", bytes(100_000, 5)),
        ("an end alone", b"PK\x05\x06".to_vec()),
        ("cut short", good()[..good().len() - 1].to_vec()),
        ("a link", patched(good(), "alpha/in/b", MODE, &link)),
        ("encrypted", patched(good(), "alpha/in/b", FLAGS, &[1])),
        (
            "another compression",
            patched(good(), "alpha/in/b", METHOD, &[14]),
        ),
        ("twice", twice),
        (
            "overlapping",
            patched(good(), "alpha/in/b", HEADER, &[0; 4]),
        ),
        (
            "sizes that cannot be",
            patched(good(), "alpha/in/b", SIZE, &[0xfe, 0xff, 0xff, 0x7f]),
        ),
    ];
    for (what, zip) in cases {
        let site = site_of(zip);
        let error = pull(&site).unwrap_err();
        let shown = chain(&error);
        assert_eq!(error.code(), "REGISTRY_ERROR", "{what}: {shown}");
        assert!(!shown.contains('\n'), "{shown}");
        assert!(site.rack.listed().0.is_empty(), "{what}");
        assert!(
            !site.rack.dir_of("mf6/test/alpha current").exists(),
            "{what}"
        );
        assert!(site.forge.server().bytes_sent() < 300_000, "{what}");
    }
}

#[test]
fn a_member_with_other_bytes_is_a_mismatch() {
    let good = || zip(&alpha());
    for (what, zip) in [
        (
            "another checksum",
            patched(good(), "alpha/in/b", CRC, &[0; 4]),
        ),
        (
            "another size",
            patched(good(), "alpha/in/b", SIZE, &[0x10, 2, 0, 0]),
        ),
    ] {
        let site = site_of(zip);
        let error = pull(&site).unwrap_err();
        assert_eq!(error.code(), "HASH_MISMATCH", "{what}: {}", chain(&error));
        assert!(chain(&error).contains("in/b"), "{what}: {}", chain(&error));
        assert!(site.rack.listed().0.is_empty(), "{what}");
    }
}

#[test]
fn a_bomb_is_refused_before_it_goes_off() {
    // A registry without sizes believes the zip: more than any disk has.
    let bomb = zip64_sizes(zip_stored(&alpha()), "alpha/in/b", 1 << 60);
    let site = Site::new();
    site.repo.commit("develop", [("README.md", "x")]);
    let toml = ModelsToml::of(&alpha()).without_sizes();
    let toml: Vec<u8> = toml.asset("models.zip").into();
    site.repo
        .release("current", [("models.toml", toml), ("models.zip", bomb)]);
    site.sync_at(&["current"]);
    let error = pull(&site).unwrap_err();
    assert!(
        matches!(
            error.kind(),
            ErrorKind::InsufficientSpace { .. } | ErrorKind::Registry { .. }
        ),
        "{error:?}"
    );
    assert!(site.rack.listed().0.is_empty());
}

/// Says in a zip64 field that a deflated member has this size and data of as many bytes as that takes.
fn zip64_sizes(zip: Vec<u8>, name: &str, size: u64) -> Vec<u8> {
    let entry = entry_of(&zip, name);
    let end = zip.len() - 22;
    let mut extra = vec![1, 0, 16, 0];
    extra.extend(size.to_le_bytes());
    extra.extend((size / 1000).to_le_bytes());
    let mut bomb = zip.clone();
    bomb[entry + METHOD] = 8;
    bomb[entry + 20..entry + 28].fill(0xff);
    bomb[entry + 30] = u8::try_from(extra.len()).unwrap();
    let name_end = entry + 46 + name.len();
    bomb.splice(name_end..name_end, extra.iter().copied());
    let end = end + extra.len();
    let length = u32::from_le_bytes(bomb[end + 12..end + 16].try_into().unwrap());
    let length = length + u32::try_from(extra.len()).unwrap();
    bomb[end + 12..end + 16].copy_from_slice(&length.to_le_bytes());
    bomb
}

fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes
        .windows(wanted.len())
        .position(|window| window == wanted)
}

#[test]
fn what_is_wrong_with_other_members_does_no_harm() {
    let mut files = alpha();
    files.extend(model(
        "other",
        &[
            ("../../escape", b"x".to_vec()),
            ("/absolute", b"x".to_vec()),
        ],
    ));
    let link = 0o120_777_u16.to_le_bytes();
    let zip = patched(zip(&files), "other/mfsim.nam", MODE, &link);
    let site = site_of(zip);
    pull(&site).unwrap();
    site.assert_installed("mf6/test/alpha current", "alpha", &alpha());
}

#[test]
fn a_zip_of_very_many_members_gives_up_a_few() {
    let mut files = alpha();
    files.extend((0..60_000).map(|number| (format!("filler/{number:05}"), Vec::new())));
    let site = site_of(zip_stored(&files));
    pull(&site).unwrap();
    site.assert_installed("mf6/test/alpha current", "alpha", &alpha());
    assert_eq!(
        site.asked("/storage/").len(),
        4,
        "first byte, end, rest of the directory, members"
    );
}

#[test]
fn zips_are_read_however_they_were_made() {
    use std::io::{Cursor, Write};
    use zip::write::SimpleFileOptions;
    use zip::{CompressionMethod, ZipWriter};
    let options = [
        SimpleFileOptions::default().compression_method(CompressionMethod::Stored),
        SimpleFileOptions::default().compression_method(CompressionMethod::Deflated),
        SimpleFileOptions::default().large_file(true),
    ];
    for options in options {
        let mut seekable = ZipWriter::new(Cursor::new(Vec::new()));
        let mut streamed = ZipWriter::new_stream(Vec::new());
        for (name, bytes) in &alpha() {
            seekable.start_file(name, options).unwrap();
            seekable.write_all(bytes).unwrap();
            streamed.start_file(name, options).unwrap();
            streamed.write_all(bytes).unwrap();
        }
        let seekable = seekable.finish().unwrap().into_inner();
        let streamed = streamed.finish().unwrap().into_inner();
        for zip in [seekable, streamed] {
            let site = site_of(zip);
            pull(&site).map_err(|error| chain(&error)).unwrap();
            let name = "mf6/test/alpha current";
            site.rack.assert_files(name, &inside("alpha", &alpha()));
        }
    }
}

#[test]
fn names_in_a_registry_that_lead_out_are_refused_unless_they_are_excluded() {
    for name in [
        "../x",
        "alpha/../../x",
        "/etc/passwd",
        "C:/x",
        "alpha\\x",
        "alpha/CON",
        "alpha/x.",
    ] {
        let site = Site::new();
        let toml = ModelsToml::of(&alpha()).file(name, b"x");
        let toml = toml.model("alpha", &["alpha/a", name]);
        let mut tree = alpha();
        tree.push((".registry/models.toml".to_owned(), toml.into()));
        site.repo.commit("develop", tree);
        site.sync();
        site.forge.server().reset_counts();
        let error = site.pull("mf6/test/alpha").unwrap_err();
        let ErrorKind::UnusableFiles { files, .. } = error.kind() else {
            panic!("{name}: {}", chain(&error));
        };
        let [unusable] = files.as_slice() else {
            panic!("{name}: {files:?}");
        };
        assert!(name.ends_with(unusable.as_str()), "{name}: {unusable}");
        assert!(site.rack.listed().0.is_empty());
        assert_eq!(site.forge.server().connections(), 0);
        let others = PullOptions::default().exclude([unusable.as_str()]);
        let pulled = site.manager().pull(&address("mf6/test/alpha"), &others);
        assert_eq!(pulled.unwrap().files, 1, "{name}");
        let names = site.rack.files_of("mf6/test/alpha develop").into_iter();
        assert!(names.map(|(name, _)| name).eq(["a"]), "{name}");
    }
}

#[test]
fn a_file_where_the_store_keeps_its_own_is_refused() {
    let files = model("alpha", &[(".rack/manifest.json", b"{}".to_vec())]);
    let site = Site::of(&files, |toml| toml);
    let error = site.pull("mf6/test/alpha").unwrap_err();
    assert_eq!(error.code(), "REGISTRY_ERROR", "{}", chain(&error));
    assert!(site.rack.listed().0.is_empty());
    assert_eq!(site.forge.server().connections(), 0);
}

#[test]
fn sizes_beyond_the_disk_are_refused_before_the_first_byte() {
    let site = Site::new();
    let text = ModelsToml::of(&alpha()).text();
    let text = text.replace("size = 700", &format!("size = {}", 1_u64 << 60));
    let mut tree = alpha();
    tree.push((".registry/models.toml".to_owned(), text.into_bytes()));
    site.repo.commit("develop", tree);
    site.sync();
    site.forge.server().reset_counts();
    let error = site.pull("mf6/test/alpha").unwrap_err();
    assert_eq!(error.code(), "INSUFFICIENT_SPACE", "{}", chain(&error));
    assert_eq!(site.forge.server().connections(), 0);
}
