//! Making a registry of a work tree: what git has staged is what a server will serve.

use std::path::{Path, PathBuf};
use std::process::Command;

use sha1::Sha1;

use super::*;
use crate::support::git::File;

/// Writes an index of git that has these files, into a folder of git below that of the test.
fn stage(publisher: &Publisher, git: &str, files: &[(&str, &str)]) {
    let mut index = [
        &b"DIRC"[..],
        &2_u32.to_be_bytes(),
        &(files.len() as u32).to_be_bytes(),
    ]
    .concat();
    for (path, text) in files {
        let blob = File::small(text.as_bytes().to_vec()).blob;
        let id = (0..20).map(|at| u8::from_str_radix(&blob[2 * at..2 * at + 2], 16).unwrap());
        index.extend([0; 40]);
        index.extend(id);
        index.extend([0; 2]);
        index.extend(path.as_bytes());
        index.extend(vec![0; 8 - (62 + path.len()) % 8]);
    }
    let checksum = Sha1::digest(&index);
    index.extend(checksum);
    publisher.write(git, &[("index", index)]);
}

fn registry_of(text: &str) -> String {
    let publisher = Publisher::new();
    publisher.write(
        "work",
        &[
            (".git/HEAD", "x"),
            ("mf6/a/mfsim.nam", text),
            ("mf6/a/bytes", "\0\r\n"),
        ],
    );
    publisher.make(&publisher.of_folder("work/mf6")).unwrap();
    publisher.made()
}

const CHECKED_OUT: [(&str, &str); 2] = [
    ("mf6/a/bytes", "\0\r\n"),
    ("mf6/a/mfsim.nam", "one\r\ntwo\r\nthree\r"),
];
const COMMITTED: [(&str, &str); 2] = [
    ("mf6/a/bytes", "\0\r\n"),
    ("mf6/a/mfsim.nam", "one\ntwo\nthree\r"),
];

#[test]
fn line_ends_are_those_that_were_committed() {
    for (git, link) in [
        ("work/.git", None),
        ("elsewhere", Some("gitdir: ../elsewhere\n")),
    ] {
        let publisher = Publisher::new();
        publisher.write("work", &CHECKED_OUT);
        publisher.write("work", &[(".gitattributes", "*.nam eol=crlf\n")]);
        publisher.write(
            "work",
            &link
                .map(|text| (".git", text))
                .into_iter()
                .collect::<Vec<_>>(),
        );
        stage(&publisher, git, &COMMITTED);
        let report = publisher.make(&publisher.of_folder("work/mf6")).unwrap();
        assert_eq!(report.notes, [""; 0]);
        assert_eq!(publisher.made(), registry_of("one\ntwo\nthree\r"));
        // Those that were committed as they are stay so.
        stage(&publisher, git, &CHECKED_OUT);
        publisher.make(&publisher.of_folder("work/mf6")).unwrap();
        assert_eq!(publisher.made(), registry_of("one\r\ntwo\r\nthree\r"));
    }
}

#[test]
fn what_differs_from_git_is_noted() {
    let publisher = Publisher::new();
    publisher.write("work", &CHECKED_OUT);
    publisher.write("work", &[("mf6/a/new.txt", "x")]);
    let staged = [CHECKED_OUT[0], ("mf6/a/mfsim.nam", "another")];
    stage(&publisher, "work/.git", &staged);
    let notes = publisher
        .make(&publisher.of_folder("work/mf6"))
        .unwrap()
        .notes;
    assert_eq!(notes.len(), 2, "{notes:?}");
    assert!(
        notes[0]
            .starts_with("1 of the files differ from what git has staged, such as 'a/mfsim.nam'")
    );
    assert!(notes[1].starts_with("1 of the files are not in git, such as 'a/new.txt'"));
}

#[test]
fn a_work_tree_of_git_itself_is_read() {
    let publisher = Publisher::new();
    let text = "$Id$\none\ntwo\n";
    publisher.write(
        "work",
        &[
            ("mf6/a/mfsim.nam", text),
            ("mf6/a/bytes", "\0\r\n"),
            ("other/x", "y"),
        ],
    );
    let work = publisher.rack.temp.path().join("work");
    if !git(&work, &["init", "--quiet"]) {
        return;
    }
    assert!(git(&work, &["config", "core.autocrlf", "true"]));
    assert!(git(&work, &["add", "."]));
    let again = |publisher: &Publisher| {
        fs::remove_file(work.join("mf6/a/mfsim.nam")).unwrap();
        assert!(git(&work, &["checkout", "--quiet", "--", "."]));
        publisher
            .make(&publisher.of_folder("work/mf6"))
            .unwrap()
            .notes
    };
    for version in ["2", "3", "4"] {
        assert!(git(&work, &["update-index", "--index-version", version]));
        assert_eq!(again(&publisher), [""; 0]);
        let checked_out = fs::read_to_string(work.join("mf6/a/mfsim.nam")).unwrap();
        assert_eq!(checked_out, text.replace('\n', "\r\n"));
        assert_eq!(publisher.made(), registry_of(text));
    }
    // What attributes of the repository change in another way is told.
    publisher.write("work", &[(".git/info/attributes", "*.nam ident\n")]);
    let notes = again(&publisher);
    assert!(notes[0].starts_with("1 of the files differ"), "{notes:?}");
}

/// Runs git in a folder; `false` if there is none, or it fails.
fn git(folder: &Path, words: &[&str]) -> bool {
    let none: PathBuf = folder.join("none");
    let mut command = Command::new("git");
    command.current_dir(folder).args(words);
    command
        .env("GIT_CONFIG_GLOBAL", &none)
        .env("GIT_CONFIG_NOSYSTEM", "1");
    command.output().is_ok_and(|output| output.status.success())
}
