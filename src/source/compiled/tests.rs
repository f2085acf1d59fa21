//! Tests of compiling and reading.

use std::collections::BTreeMap;
use std::io::Cursor;

use super::*;
use crate::model::ModelName;

type Origin = BTreeMap<String, String>;

fn origin() -> Origin {
    BTreeMap::from([("of".to_owned(), "here".to_owned())])
}

fn row(name: &str, version: &str, list: Option<ListingPlace>) -> Row {
    let model = ModelName::parse(name).unwrap().version(version).unwrap();
    let metadata = format!("{{\"of\":\"{name}\"}}");
    Row {
        digest: Digest::of(name.as_bytes()),
        alias_of: (version == "latest").then(|| "v1".into()),
        root: "folder".into(),
        files: list.map(|_| 3),
        bytes: None,
        place: list,
        about: RawMetadata::of_json(serde_json::from_str(&metadata).unwrap()).unwrap(),
        model,
    }
}

const LIST: &[u8] = b"files";

/// Three versions, and one that is added twice.
fn compiled() -> (Vec<u8>, Vec<Row>) {
    let mut bytes = Vec::new();
    let mut write = |piece: &[u8]| {
        bytes.extend_from_slice(piece);
        Ok(())
    };
    let mut compiler = Compiler::new(&mut write);
    let place = compiler.list(LIST).unwrap();
    let listed = Row {
        digest: Digest::of(LIST),
        ..row("a/m", "v1", Some(place))
    };
    let rows = vec![
        row("m", "v1", None),
        listed,
        row("b/m", "latest", None),
        row("b/m", "v1", None),
    ];
    for row in rows.iter().rev().chain(&rows[2..3]) {
        compiler.add(row).unwrap();
    }
    assert!(!compiler.is_empty());
    compiler.finish(origin(), 3, &"the rest").unwrap();
    (bytes, rows)
}

fn open(bytes: &[u8]) -> Option<Compiled<Origin>> {
    Compiled::open(Cursor::new(bytes.to_vec()), Path::new("models.index")).unwrap()
}

fn rows(compiled: &mut Compiled<Origin>) -> Result<Vec<Row>> {
    compiled.rows()?.collect()
}

#[test]
fn what_was_compiled_is_read_in_the_order_of_names() {
    let (bytes, expected) = compiled();
    let mut compiled = open(&bytes).unwrap();
    assert_eq!(compiled.head.origin, origin());
    assert_eq!((compiled.head.models, compiled.head.files), (4, 3));
    let read = rows(&mut compiled).unwrap();
    assert_eq!(read, expected);
    assert_eq!(compiled.rest::<String>().unwrap(), "the rest");
    let listed = &read[1];
    let list = compiled.list(&listed.place.unwrap(), listed.digest);
    assert_eq!(list.unwrap(), LIST);
    assert!(compiled.is_whole().unwrap());
}

#[test]
fn models_are_found_one_after_another() {
    let (bytes, rows) = compiled();
    let names = open(&bytes).unwrap().names().unwrap();
    assert_eq!(names.models(), [("", "m"), ("a", "m"), ("b", "m")]);
    for (name, expected) in [
        (("", "m"), &rows[..1]),
        (("a", "m"), &rows[1..2]),
        (("b", "m"), &rows[2..]),
        (("a", ""), &[]),
        (("b", "n"), &[]),
        (("c", "m"), &[]),
    ] {
        let found = names.versions_of(name.0, name.1).unwrap();
        assert_eq!(found, expected, "{name:?}");
    }
}

#[test]
fn words_are_shared() {
    let (bytes, _) = compiled();
    let read = rows(&mut open(&bytes).unwrap()).unwrap();
    assert!(Arc::ptr_eq(&read[0].root, &read[3].root));
}

#[test]
fn models_whose_names_differ_only_in_case_are_removed() {
    let mut nowhere = |_: &[u8]| Ok(());
    let mut compiler = Compiler::new(&mut nowhere);
    for name in ["a/M", "a/m", "a/n", "a/o", "É", "é"] {
        compiler.add(&row(name, "v1", None)).unwrap();
        compiler.add(&row(name, "v2", None)).unwrap();
    }
    assert_eq!(
        compiler.remove_twins(vec!["A/N".to_owned()]),
        ["É", "é", "a/M", "a/m", "a/n", "A/N"]
    );
    assert_eq!(compiler.finish(origin(), 0, &()).unwrap().models, 2);
}

#[test]
fn damage_is_never_believed() {
    let (bytes, expected) = compiled();
    let flipped = |at: usize, mask: u8| {
        let mut flipped = bytes.clone();
        flipped[at] ^= mask;
        flipped
    };
    let cut = (0..bytes.len()).map(|at| bytes[..at].to_vec());
    let flips = (0..bytes.len()).flat_map(|at| [flipped(at, 1), flipped(at, 0x80)]);
    for damaged in cut.chain(flips) {
        let Some(mut compiled) = open(&damaged) else {
            continue;
        };
        assert_eq!(compiled.head.origin, origin());
        assert!(!compiled.is_whole().unwrap(), "{damaged:?}");
        match rows(&mut compiled) {
            Ok(rows) => assert_eq!(rows, expected),
            Err(error) => assert!(matches!(error.kind(), ErrorKind::DamagedCache { .. })),
        }
        match compiled.names() {
            Ok(names) => assert_eq!(names.versions_of("b", "m").unwrap(), expected[2..]),
            Err(error) => assert!(matches!(error.kind(), ErrorKind::DamagedCache { .. })),
        }
        if let Ok(rest) = compiled.rest::<String>() {
            assert_eq!(rest, "the rest");
        }
        let listed = &expected[1];
        if let Ok(list) = compiled.list(&listed.place.unwrap(), listed.digest) {
            assert_eq!(list, LIST);
        }
    }
}

#[test]
fn another_format_is_passed_over() {
    let (bytes, _) = compiled();
    let line_end = bytes.iter().rposition(|byte| *byte == b'\n').unwrap();
    let (parts, head) = bytes.split_at(line_end + 1);
    let json = std::str::from_utf8(head)
        .unwrap()
        .split_once(' ')
        .unwrap()
        .1;
    for (format, is_read) in [(FORMAT - 1, false), (FORMAT, true), (FORMAT + 1, false)] {
        let json = json.replace(
            &format!("\"format\":{FORMAT}"),
            &format!("\"format\":{format}"),
        );
        let head = format!("{} {json}", Digest::of(json.as_bytes()));
        let bytes = [parts, head.as_bytes()].concat();
        assert_eq!(open(&bytes).is_some(), is_read, "{format}");
    }
    // The first format began with its head.
    assert!(open(b"{\"format\":1,\"models\":1}\n{\"models\":[]}\n").is_none());
    assert!(open(b"").is_none());
}
