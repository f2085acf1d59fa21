//! Hostile archives.

use std::io::{Cursor, Write};

use zip::ZipWriter;
use zip::write::SimpleFileOptions;

use super::Publisher;
use crate::support::chain;
use crate::support::forge::{zip, zip_stored};
use crate::support::server::Rule;

/// Replaces each occurrence of a name in a zip by a name of the same length.
fn rename(mut zip: Vec<u8>, name: &str, other: &str) -> Vec<u8> {
    assert_eq!(name.len(), other.len());
    let places: Vec<usize> = (0..zip.len() - name.len())
        .filter(|at| zip[*at..].starts_with(name.as_bytes()))
        .collect();
    assert_eq!(places.len(), 2, "the local header's and the directory's");
    for at in places {
        zip[at..at + name.len()].copy_from_slice(other.as_bytes());
    }
    zip
}

/// Overwrites a field of a member's entry in the central directory, by its offset in the entry.
fn patch(mut zip: Vec<u8>, member: &str, field: usize, value: &[u8]) -> Vec<u8> {
    let entry = (0..zip.len() - 46)
        .find(|at| {
            zip[*at..].starts_with(b"PK\x01\x02") && zip[at + 46..].starts_with(member.as_bytes())
        })
        .unwrap();
    zip[entry + field..entry + field + value.len()].copy_from_slice(value);
    zip
}

const SIZE: usize = 24;
const CRC32: usize = 16;
const OFFSET: usize = 42;

#[track_caller]
fn refused(zip: Vec<u8>, code: &str, named: &str) {
    let publisher = Publisher::new();
    publisher.repo.release("v1", [("all.zip", zip)]);
    let error = publisher.refuse(&publisher.of_asset("v1", "all.zip", ""));
    assert_eq!(error.code(), code, "{}", chain(&error));
    assert!(chain(&error).contains(named), "{}", chain(&error));
}

#[test]
fn names_outside_of_the_folder_are_refused() {
    let with = |name| zip(&[("a/mfsim.nam", "x"), (name, "x")]);
    refused(with("a/../../x"), "REGISTRY_ERROR", "a/../../x");
    refused(with("a/con"), "REGISTRY_ERROR", "a/con");
    refused(with("a/x:y"), "REGISTRY_ERROR", "a/x:y");
    refused(with("a/b\\x"), "REGISTRY_ERROR", "backslash");
    refused(with("a/\u{1b}[2J"), "REGISTRY_ERROR", "a/\\u{1b}[2J");
    refused(with("../mfsim.nam"), "REGISTRY_ERROR", "'..'");
    refused(with("/mfsim.nam"), "REGISTRY_ERROR", "");
    refused(with("a/MFSIM.nam"), "REGISTRY_ERROR", "only in case");
}

#[test]
fn invalid_names_outside_of_models_are_ignored() {
    let publisher = Publisher::new();
    let names = ["../../etc/passwd", "/etc/passwd", "C:/x", "b/con", "b/x\ny"];
    let mut files = vec![("a/mfsim.nam", "x")];
    files.extend(names.map(|name| (name, "x")));
    let report = publisher.make_of_zip(zip(&files)).unwrap();
    assert_eq!((report.models, report.files), (1, 1));
}

#[test]
fn links_are_refused_only_in_models() {
    let with = |link: &str| {
        let options = SimpleFileOptions::default();
        let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
        writer.start_file("a/mfsim.nam", options).unwrap();
        writer.write_all(b"x").unwrap();
        writer.add_symlink(link, "/etc/passwd", options).unwrap();
        writer.finish().unwrap().into_inner()
    };
    refused(
        with("a/link"),
        "REGISTRY_ERROR",
        "'a/link' in the archive cannot be read",
    );
    refused(with("b/mfsim.nam"), "REGISTRY_ERROR", "it is a link");
    let report = Publisher::new().make_of_zip(with("b/link")).unwrap();
    assert_eq!((report.models, report.files), (1, 1));
}

#[test]
fn duplicate_members_are_refused() {
    let files = [
        ("a/mfsim.nam", "x"),
        ("a/x1", "1"),
        ("a/x2", "2"),
        ("b/x3", "3"),
    ];
    let twice = rename(zip_stored(&files), "a/x2", "a/x1");
    refused(twice, "REGISTRY_ERROR", "it occurs more than once");
    let elsewhere = rename(zip_stored(&files), "a/x2", "b/x3");
    let report = Publisher::new().make_of_zip(elsewhere).unwrap();
    assert_eq!((report.models, report.files), (1, 2));
}

#[test]
fn zip_bombs_are_refused() {
    let zeros = vec![0; 4 << 20];
    let files = [("a/mfsim.nam", &b"x"[..]), ("a/zeros", &zeros)];
    let honest = zip(&files);
    let huge = u32::MAX.wrapping_sub(1).to_le_bytes();
    refused(
        patch(honest.clone(), "a/zeros", SIZE, &huge),
        "REGISTRY_ERROR",
        "its sizes are impossible",
    );
    // It would decompress to a thousand times the stated size.
    refused(
        patch(honest.clone(), "a/zeros", SIZE, &4096_u32.to_le_bytes()),
        "HASH_MISMATCH",
        "a/zeros",
    );
    refused(
        patch(honest, "a/zeros", OFFSET, &0_u32.to_le_bytes()),
        "REGISTRY_ERROR",
        "overlap",
    );
}

#[test]
fn damaged_archives_are_refused() {
    let files = [("a/mfsim.nam", "content ".repeat(50))];
    refused(
        patch(zip(&files), "a/mfsim.nam", CRC32, &[1, 2, 3, 4]),
        "HASH_MISMATCH",
        "a/mfsim.nam",
    );
    refused(
        b"<html>no zip</html>".to_vec(),
        "REGISTRY_ERROR",
        "a web page",
    );
    refused(b"no zip".to_vec(), "REGISTRY_ERROR", "the archive");
    refused(Vec::new(), "REGISTRY_ERROR", "the archive");
}

#[test]
fn a_repository_archive_must_have_one_top_folder() {
    let publisher = Publisher::with_models();
    let loose = zip(&[("a/mfsim.nam", "x"), ("b/x", "x")]);
    let rule = Rule::path_contains("/archive/").status(200).body(loose);
    publisher.forge.server().rule(rule);
    let error = publisher.refuse(&publisher.of_archive("develop", ""));
    assert_eq!(error.code(), "REGISTRY_ERROR");
    assert!(
        error
            .to_string()
            .contains("no folder that contains everything"),
        "{error}"
    );
}
