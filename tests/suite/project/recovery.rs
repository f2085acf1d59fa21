//! A damaged registry is read from its backup, and never taken for another.

use std::fs::{self, File};

use modelrack::ErrorKind;
use modelrack::project::Project;

use super::singles::{Folder, ids, names};
use crate::support::chain;
use crate::support::disk::names_in;

#[test]
fn a_damaged_registry_is_read_from_its_backup_and_repaired_by_the_next_change() {
    for (what, bytes) in [
        ("garbage", &b"\x00\xff\xfe not a registry"[..]),
        ("zeros", &[0; 300]),
        ("no byte", b""),
        ("blank lines", b"\n\n"),
        ("another schema", b"schema_version = \"9.0\"\n"),
        ("tables of another kind", b"entries = 3\n"),
        ("an entry without a version", b"[entries.a]\nname = \"a\"\n"),
        (
            "a digest that is none",
            b"[files]\n\"a\" = { hash = \"sha256:1\" }\n",
        ),
    ] {
        let folder = Folder::registered();
        folder.damage(bytes);
        let project = folder.open();
        assert!(project.recovered().is_some(), "{what}");
        assert_eq!(ids(&project), ["a"], "{what}");
        // Reading changes nothing.
        assert_eq!(fs::read(folder.own("models.toml")).unwrap(), bytes);
        let project = folder.add("b");
        assert_eq!(ids(&project), ["a", "b"], "{what}");
        assert_eq!(project.recovered(), None, "{what}");
        let aside = folder.own("models.toml.damaged-1");
        assert_eq!(
            project.kept_aside().map(fs::canonicalize).unwrap().unwrap(),
            fs::canonicalize(&aside).unwrap(),
            "{what}"
        );
        assert_eq!(fs::read(aside).unwrap(), bytes, "{what}");
        assert_eq!(ids(&folder.open()), ["a", "b"], "{what}");
        // The next damaged file is kept under another name, and a change of a sound one keeps nothing aside.
        folder.damage(b"[");
        assert!(folder.add("b").kept_aside().is_some());
        assert!(folder.add("a").kept_aside().is_none());
        assert_eq!(
            names(&folder.own("")),
            [
                "models.toml",
                "models.toml.bak",
                "models.toml.damaged-1",
                "models.toml.damaged-2"
            ],
            "{what}"
        );
    }
}

#[test]
fn a_truncated_registry_is_never_taken_for_a_smaller_one() {
    let folder = Folder::registered();
    let whole = folder.text();
    for end in 0..whole.len() {
        folder.damage(&whole.as_bytes()[..end]);
        let project = folder.open();
        // Only the last line break may be missing.
        let is_whole = end + 1 == whole.len();
        assert_eq!(project.recovered().is_none(), is_whole, "{end}");
        let expected: &[&str] = if is_whole { &["a", "b"] } else { &["a"] };
        assert_eq!(ids(&project), expected, "{end}");
    }
}

#[test]
fn a_missing_registry_is_restored_from_its_backup() {
    let folder = Folder::registered();
    fs::remove_file(folder.own("models.toml")).unwrap();
    let project = Project::find(folder.temp.path(), &Default::default()).unwrap();
    assert_eq!(ids(&project), ["a"]);
    assert!(project.recovered().unwrap().contains("missing"));
    folder.add("b");
    assert_eq!(ids(&folder.open()), ["a", "b"]);
    assert_eq!(names(&folder.own("")), ["models.toml", "models.toml.bak"]);
}

#[test]
fn a_damaged_registry_without_a_good_backup_is_an_error() {
    for backup in [Some(&b"["[..]), None] {
        let folder = Folder::registered();
        folder.damage(b"[[");
        match backup {
            Some(bytes) => fs::write(folder.own("models.toml.bak"), bytes).unwrap(),
            None => fs::remove_file(folder.own("models.toml.bak")).unwrap(),
        }
        let before = names_in(&folder.own(""));
        let error = Project::open(folder.temp.path(), &Default::default()).unwrap_err();
        assert!(
            matches!(error.kind(), ErrorKind::DamagedRegistry { path, .. } if path.ends_with("models.toml"))
        );
        assert_eq!(
            error.to_string().contains("backup"),
            backup.is_some(),
            "{error}"
        );
        assert_eq!(fs::read(folder.own("models.toml")).unwrap(), b"[[");
        assert_eq!(names_in(&folder.own("")), before);
    }
    // Damaged while a project was open.
    let folder = Folder::registered();
    let mut project = folder.open();
    for name in ["models.toml", "models.toml.bak"] {
        fs::write(folder.own(name), "[").unwrap();
    }
    folder.write("c", "1");
    assert_eq!(
        folder.add_to(&mut project, "c").unwrap_err().code(),
        "REGISTRY_ERROR"
    );
    assert_eq!(folder.text(), "[");
}

#[test]
fn an_oversized_registry_is_not_read() {
    let folder = Folder::registered();
    let path = folder.own("models.toml");
    let file = File::options().write(true).open(&path).unwrap();
    file.set_len((64 << 20) + 1).unwrap();
    let error = Project::open(folder.temp.path(), &Default::default()).unwrap_err();
    assert!(chain(&error).contains("67108865 B"), "{}", chain(&error));
    assert_eq!(fs::metadata(&path).unwrap().len(), (64 << 20) + 1);
}

#[test]
fn byte_order_marks_and_crlf_are_accepted() {
    for (what, front, line_end) in [
        ("CRLF", "", "\r\n"),
        ("a byte order mark", "\u{feff}", "\n"),
        ("both", "\u{feff}", "\r\n"),
    ] {
        let folder = Folder::registered();
        let text = format!("{front}{}", folder.text().replace('\n', line_end));
        folder.damage(text.as_bytes());
        let project = folder.open();
        assert_eq!(
            (ids(&project), project.recovered()),
            (vec!["a", "b"], None),
            "{what}"
        );
        folder.write("c", "1");
        assert_eq!(ids(&folder.add("c")), ["a", "b", "c"], "{what}");
        assert!(!folder.text().contains('\r'), "{what}");
        // A truncated one is still recognised as damaged.
        folder.damage(&text.as_bytes()[..text.len() - 10]);
        assert!(folder.open().recovered().is_some(), "{what}");
    }
}

#[test]
fn a_handwritten_registry_needs_no_last_line() {
    let folder = Folder::registered();
    let text = folder.text();
    let by_hand = text
        .lines()
        .filter(|line| !line.starts_with('#'))
        .collect::<Vec<_>>()
        .join("\n");
    folder.damage(by_hand.as_bytes());
    let project = folder.open();
    assert_eq!((ids(&project), project.recovered()), (vec!["a", "b"], None));
    // Tables after it do no harm.
    folder.damage(format!("{text}\n[more]\nx = 1\n").as_bytes());
    assert_eq!(folder.open().recovered(), None);
}
