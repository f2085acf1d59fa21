use super::*;

const A: &str = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
const B: &str = "BBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBB";

fn parse(text: &str) -> Result<Manifest> {
    Manifest::parse(text.replace('A', A).replace('B', B).into_bytes(), "here")
}

#[test]
fn files_and_parts_cut_the_same_stream() {
    let manifest = parse(
        r#"{"total_size":12,"chunk_size":5,"chunks":["A","B","A"],"chunk_sizes":[5,2,5],
            "files":[{"path":"x","size":4},{"path":"empty","size":0},{"path":"y","size":8}],"new":1}"#,
    )
    .unwrap();
    let segments: Vec<_> = manifest
        .segments(3..9)
        .map(|s| (s.file, s.offset, s.size_bytes))
        .collect();
    assert_eq!(segments, [(0, 3, 1), (2, 0, 5)]);
    assert_eq!(manifest.parts_in(4..12), 0..3);
    assert_eq!(manifest.parts_in(5..7), 1..2);
    assert_eq!(manifest.parts_in(4..4), 0..0);
    assert_eq!(manifest.segments(12..12).count(), 0);
}

#[test]
fn the_last_chunk_may_be_short() {
    let manifest = parse(
        r#"{"total_size":7,"chunk_size":4,"chunks":["A","B"],"files":[{"path":"x","size":7}]}"#,
    )
    .unwrap();
    assert_eq!(
        manifest
            .parts()
            .iter()
            .map(|part| part.size_bytes)
            .collect::<Vec<_>>(),
        [4, 3]
    );
    let empty =
        parse(r#"{"total_size":0,"chunk_size":4,"chunks":[],"files":[{"path":"x","size":0}]}"#)
            .unwrap();
    assert!(empty.parts().is_empty());
}

#[test]
fn refuses_what_does_not_add_up() {
    for bad in [
        "",
        "[]",
        "{}",
        r#"{"total_size":7,"chunk_size":4,"chunks":["A"],"files":[{"path":"x","size":7}]}"#,
        r#"{"total_size":8,"chunk_size":4,"chunks":["A","B","A"],"files":[{"path":"x","size":8}]}"#,
        r#"{"total_size":4,"chunk_size":4,"chunks":["A"],"files":[{"path":"x","size":3}]}"#,
        r#"{"total_size":4,"chunk_size":4,"chunks":["A"],"files":[{"path":"x","size":5}]}"#,
        r#"{"total_size":4,"chunk_size":4,"chunks":[],"files":[{"path":"x","size":4}]}"#,
        r#"{"total_size":4,"files":[{"path":"x","size":3}]}"#,
        r#"{"total_size":4,"files":[{"path":"x"}]}"#,
        r#"{"total_size":0,"chunk_size":0,"chunks":["A"],"files":[]}"#,
        r#"{"total_size":4,"chunk_size":4,"chunks":["A"],"chunk_sizes":[4,0],"files":[{"path":"x","size":4}]}"#,
        r#"{"total_size":4,"chunk_size":4,"chunks":["A","B"],"chunk_sizes":[4,0],"files":[{"path":"x","size":4}]}"#,
        r#"{"total_size":6,"chunk_size":4,"chunks":["A","A"],"files":[{"path":"x","size":6}]}"#,
        r#"{"total_size":18446744073709551615,"chunk_size":18446744073709551615,"chunks":["A","B"],"files":[]}"#,
        r#"{"total_size":1,"chunk_size":1,"chunks":["A"],"files":[{"path":"x","size":18446744073709551615},{"path":"y","size":2}]}"#,
        r#"{"total_size":-1,"chunk_size":4,"chunks":[],"files":[]}"#,
        r#"{"total_size":4,"chunk_size":4,"chunks":["zz"],"files":[{"path":"x","size":4}]}"#,
        r#"{"total_size":4,"chunk_size":4,"chunks":["A"],"files":[{"path":"../x","size":4}]}"#,
        r#"{"total_size":4,"chunk_size":4,"chunks":["A"],"files":[{"path":"x","size":4},{"path":"X","size":0}]}"#,
    ] {
        let error = parse(bad).unwrap_err();
        assert_eq!(error.code(), "REGISTRY_ERROR", "{bad}");
    }
}

fn file(path: &str, size_bytes: Option<u64>, digest: Option<&[u8]>) -> ManifestFile {
    ManifestFile {
        size_bytes,
        digest: digest.map(|bytes| Digest::of(bytes).into()),
        ..ManifestFile::new(RelPath::parse(path).unwrap())
    }
}

#[test]
fn a_list_of_files_is_a_manifest() {
    let files = vec![
        file("a/x", Some(2), Some(b"xy")),
        file("empty", Some(0), Some(b"")),
        file("z", Some(1), None),
    ];
    let manifest = Manifest::of_files(files.clone(), "c0ffee", "here").unwrap();
    let digest = manifest.digest();
    let again = Manifest::parse(manifest.json().to_vec(), "here").unwrap();
    assert_eq!((again.digest(), again.files()), (digest, manifest.files()));
    assert_eq!(again.parts(), manifest.parts());
    assert!(manifest.is_measured());
    let parts: Vec<_> = manifest
        .parts()
        .iter()
        .map(|p| (p.size_bytes, p.digest))
        .collect();
    assert_eq!(parts, [(2, Some(Digest::of(b"xy").into())), (1, None)]);
    let moved = Manifest::of_files(files, "another", "here").unwrap();
    assert_ne!(
        moved.digest(),
        digest,
        "a file without a digest is of its commit"
    );
}

#[test]
fn sizes_that_turn_out_complete_it() {
    let files = vec![file("x", None, Some(b"xy")), file("y", Some(1), Some(b"y"))];
    let unmeasured = Manifest::of_files(files, "c0ffee", "here").unwrap();
    assert_eq!(
        (unmeasured.total_bytes(), unmeasured.parts().len()),
        (None, 0)
    );
    let again = Manifest::parse(unmeasured.json().to_vec(), "here").unwrap();
    assert_eq!(again.files(), unmeasured.files());
    let measured = unmeasured.measured(&[2, 1], "here").unwrap();
    assert_eq!(
        (measured.total_bytes(), measured.parts().len()),
        (Some(3), 2)
    );
    let error = unmeasured.measured(&[2, 2], "here").unwrap_err();
    assert_eq!(error.code(), "HASH_MISMATCH");
}

#[test]
fn names_that_meet_and_sizes_beyond_reason_are_refused() {
    for files in [
        vec![file("x", None, None), file("X", None, None)],
        vec![file("x", Some(u64::MAX), None), file("y", Some(1), None)],
    ] {
        assert!(Manifest::of_files(files, "r", "here").is_err());
    }
}
