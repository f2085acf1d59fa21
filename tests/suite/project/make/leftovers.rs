//! What is in folders and archives, and in no model.

use super::super::leftovers::{POINTER, SIDECAR};
use super::*;
use crate::support::forge::zip;

/// A model with what a system and an editor left beside it.
fn littered() -> Vec<(&'static str, &'static [u8])> {
    vec![
        ("a/._notes", b"x"),
        ("a/._mfsim.nam", SIDECAR),
        ("a/.cache/huggingface/x/mfsim.nam", b"x"),
        ("a/mfsim.nam", b"x"),
        ("a/mfsim.nam~", b"y"),
        ("__MACOSX/a/._mfsim.nam", SIDECAR),
    ]
}

/// Asserts what a registry was made of.
#[track_caller]
fn check(publisher: &Publisher, report: &MakeReport) {
    assert_eq!((report.models, report.files), (1, 2));
    assert!(
        publisher
            .made()
            .contains("    \"a/._notes\",\n    \"a/mfsim.nam\",\n]")
    );
    let left_out = [
        "__MACOSX/a/._mfsim.nam",
        "a/._mfsim.nam",
        "a/.cache/huggingface",
        "a/mfsim.nam~",
    ];
    assert_eq!(report.left_out, left_out);
}

#[test]
fn leftovers_are_passed_over() {
    let publisher = Publisher::new();
    let report = publisher.make_of_zip(zip(&littered())).unwrap();
    check(&publisher, &report);
    publisher.repo.commit("develop", littered());
    let report = publisher
        .make(&publisher.of_archive("develop", ""))
        .unwrap();
    check(&publisher, &report);
    publisher.write("tree", &littered());
    let report = publisher.make(&publisher.of_folder("tree")).unwrap();
    check(&publisher, &report);
}

#[test]
fn pointers_are_refused_in_models() {
    let publisher = Publisher::new();
    let files = [
        ("a/mfsim.nam", "x"),
        ("a/big.dat", POINTER),
        ("b/other.dat", POINTER),
    ];
    publisher.repo.commit("main", files);
    publisher.write("tree", &files);
    for options in [
        publisher.of_archive("main", ""),
        publisher.of_folder("tree"),
    ] {
        let error = publisher.refuse(&options).to_string();
        assert!(
            error.contains("a/big.dat") && error.contains("Git LFS"),
            "{error}"
        );
    }
    publisher.repo.commit("main", [files[0], files[2]]);
    publisher.make(&publisher.of_archive("main", "")).unwrap();
}

#[test]
fn the_outputs_of_a_run_are_left_out_as_the_name_file_names_them() {
    let publisher = Publisher::new();
    let files = [
        ("a/mfsim.nam", "BEGIN MODELS\n GWF6 g.nam g\nEND MODELS\n"),
        (
            "a/g.nam",
            "BEGIN OPTIONS\n LIST g.listing\nEND OPTIONS\nBEGIN PACKAGES\n OC6 g.oc oc\nEND PACKAGES\n",
        ),
        (
            "a/g.oc",
            "BEGIN OPTIONS\n HEAD FILEOUT g.heads\nEND OPTIONS\n",
        ),
        ("a/g.listing", "a run"),
        ("a/g.heads", "a run"),
        ("b/g.heads", "of no model"),
    ];
    publisher.write("tree", &files);
    let report = publisher.make(&publisher.of_folder("tree")).unwrap();
    assert_eq!((report.models, report.files), (1, 3));
    let made = publisher.made();
    let report = publisher.make_of_zip(zip(&files)).unwrap();
    assert_eq!((report.models, report.files), (1, 3));
    // It has examples, as releases have.
    let (_, files) = made.split_once("[files]").unwrap();
    let files = files.trim_end_matches(['#', ' ', 'e', 'n', 'd', '\n']);
    assert!(publisher.made().contains(files));
}
