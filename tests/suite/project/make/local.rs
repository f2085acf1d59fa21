//! Making a registry from a local folder.

use std::fs;

use modelrack::CancelToken;
use modelrack::project::{
    AddOptions, MakeOrigin, Project, RepositoryRef, ResyncOptions, StatusOptions,
};

use super::{Publisher, expected, tree};
use crate::support::chain;
use crate::support::forge::zip;
use crate::support::platform::link_folder;

/// A work tree in `work`.
fn with_work_tree() -> Publisher {
    let publisher = Publisher::new();
    publisher.write("work", &tree());
    publisher.write("work", &[(".git/HEAD", "x"), ("mf6/.svn/mfsim.nam", "x")]);
    publisher
}

#[test]
fn a_folder_and_its_archive_give_the_same_registry() {
    let publisher = with_work_tree();
    let options = publisher.of_folder("work/mf6").name("mf6/test");
    let report = publisher.make(&options).unwrap();
    assert_eq!(publisher.made(), expected());
    let folder = publisher.rack.temp.path().join("work").join("mf6");
    assert_eq!(report.source, folder.display().to_string());
    assert!(report.notes.is_empty(), "{report:?}");
    // Again, over the existing registry.
    publisher.make(&options).unwrap();
    assert_eq!(publisher.made(), expected());
}

#[test]
fn a_linked_work_tree_is_recognised() {
    let publisher = with_work_tree();
    let git = publisher.rack.temp.path().join("work").join(".git");
    fs::remove_dir_all(&git).unwrap();
    fs::write(&git, "gitdir: elsewhere\n").unwrap();
    let options = publisher.of_folder("work/mf6").name("mf6/test");
    publisher.make(&options).unwrap();
    assert_eq!(publisher.made(), expected());
}

#[test]
fn files_that_git_changes_when_it_checks_them_out_are_noted() {
    for (path, line) in [
        ("work/.gitattributes", "flow.nam eol=crlf\n"),
        ("work/mf6/test001a/.gitattributes", "/flow.nam ident\n"),
    ] {
        let publisher = with_work_tree();
        let options = publisher.of_folder("work/mf6");
        assert_eq!(publisher.make(&options).unwrap().notes.len(), 0);
        publisher.write("", &[(path, line)]);
        let notes = publisher.make(&options).unwrap().notes.concat();
        let expected = "git may have changed 1 of the files, such as 'test001a/flow.nam'";
        assert!(notes.starts_with(expected), "{notes}");
    }
}

#[test]
fn a_folder_outside_of_a_work_tree_has_no_root() {
    let publisher = Publisher::new();
    publisher.write("plain", &tree());
    let report = publisher.make(&publisher.of_folder("plain/mf6")).unwrap();
    let made = publisher.made();
    assert!(!made.contains("root"), "{made}");
    assert!(made.contains("\n\"test001a\" = [\n"), "{made}");
    assert!(report.notes[0].contains("no root"), "{report:?}");
}

#[test]
fn the_pattern_for_name_files_selects_the_models() {
    let publisher = with_work_tree();
    let models = |pattern: &str| {
        let options = publisher.of_folder("work/mf6").namefile(pattern);
        publisher.make(&options).unwrap().models
    };
    assert_eq!(models("mfsim.nam"), 3);
    assert_eq!(models("*.nam"), 3);
    assert_eq!(models("fl?w.nam"), 1);
    assert_eq!(models("[xw]ells.txt"), 1);
    assert!(publisher.made().contains("\"ex-gwt/mf6gwf/input\" = ["));
    for pattern in ["*.none", "MFSIM.NAM", "*.lst", "", "notes"] {
        let error = publisher.refuse(&publisher.of_folder("work/mf6").namefile(pattern));
        assert_eq!(error.code(), "INVALID_ARGUMENT", "{pattern}");
        assert!(error.to_string().contains(pattern), "{error}");
        assert!(error.to_string().contains("work"), "{error}");
    }
}

#[test]
fn a_name_file_at_the_top_is_named_after_the_folder() {
    let publisher = with_work_tree();
    let top = |path: &str, repository: Option<RepositoryRef>| {
        let path = publisher.rack.temp.path().join(path);
        let origin = MakeOrigin::Folder { path, repository };
        let options = publisher.options(origin).name("p");
        publisher.make(&options).unwrap();
        publisher.made()
    };
    let made = top("work/mf6/test001a", None);
    assert!(made.contains("\n\"p/test001a\" = [\n"), "{made}");
    publisher.write("work", &[("mfsim.nam", "top")]);
    let named = RepositoryRef::new("o/models", "develop");
    let made = top("work", Some(named));
    assert!(made.contains("\n\"p/models\" = [\n"), "{made}");
    publisher.write("plain", &[("mfsim.nam", "top")]);
    let made = top("plain", None);
    assert!(made.contains("\n\"p/plain\" = [\n"), "{made}");
    // As in the archive.
    publisher.repo.commit("develop", [("mfsim.nam", "x")]);
    publisher
        .make(&publisher.of_archive("develop", ""))
        .unwrap();
    assert!(publisher.made().contains("\n\"models\" = [\n"));
}

#[test]
fn nested_models_are_noted() {
    let publisher = Publisher::new();
    publisher.write(
        "plain",
        &[("a/mfsim.nam", "1"), ("a/b/mfsim.nam", "2"), ("a/b/x", "3")],
    );
    let report = publisher.make(&publisher.of_folder("plain")).unwrap();
    assert_eq!((report.models, report.files, report.total_bytes), (2, 3, 3));
    assert_eq!(
        report.notes[1],
        "'a/b' is in the folder of 'a': its files belong to both"
    );
    let made = publisher.made();
    assert_eq!(made.matches("    \"a/b/x\",\n").count(), 2, "{made}");
}

#[test]
fn the_registry_is_not_part_of_a_model() {
    let publisher = Publisher::new();
    publisher.write("plain", &[("mfsim.nam", "1"), ("models.toml.txt", "2")]);
    let folder = publisher.rack.temp.path().join("plain");
    for output in [folder.clone(), folder.join(".registry")] {
        let options = publisher.of_folder("plain").output(&output);
        let first = publisher.make(&options).unwrap();
        let before = fs::read(&first.path).unwrap();
        let second = publisher.make(&options).unwrap();
        assert_eq!(fs::read(&second.path).unwrap(), before);
        assert_eq!((first.files, second.files), (2, 2), "{}", output.display());
        fs::remove_file(first.path).unwrap();
    }
}

#[test]
fn urls_need_a_repository() {
    let publisher = with_work_tree();
    let error = publisher.refuse(&publisher.of_folder("work/mf6").urls(true));
    assert_eq!(error.code(), "INVALID_ARGUMENT");
    let origin = MakeOrigin::Folder {
        path: publisher.rack.temp.path().join("work/mf6"),
        repository: Some(RepositoryRef::new("o/models", "develop")),
    };
    publisher
        .make(&publisher.options(origin).urls(true))
        .unwrap();
    let url = format!(
        "url = \"{}/o/models/raw/develop/mf6/test001a/mfsim.nam\"",
        publisher.forge.url()
    );
    assert!(publisher.made().contains(&url), "{}", publisher.made());
    assert_eq!(publisher.forge.server().connections(), 0);
}

#[test]
fn links_are_neither_followed_nor_listed() {
    let publisher = with_work_tree();
    let work = publisher.rack.temp.path().join("work").join("mf6");
    let target = publisher.rack.temp.path().join("work").join("other");
    if !link_folder(&target, &work.join("link")) {
        return;
    }
    // Outside of models it is ignored, and so is a name file behind it.
    let options = publisher.of_folder("work/mf6").name("mf6/test");
    publisher.make(&options).unwrap();
    assert_eq!(publisher.made(), expected());
    assert!(link_folder(
        &target,
        &work.join("test001a").join("compare-link")
    ));
    publisher.make(&options).unwrap();
    assert_eq!(publisher.made(), expected());
    assert!(link_folder(&target, &work.join("test001a").join("link")));
    let error = publisher.refuse(&options);
    assert_eq!(error.code(), "REGISTRY_ERROR");
    assert!(
        error.to_string().contains("'test001a/link' is a link"),
        "{error}"
    );
    // The folder itself may be a link.
    fs::rename(work.join("test001a").join("link"), target.join("gone")).unwrap();
    let way = publisher.rack.temp.path().join("way");
    assert!(link_folder(&work, &way));
    publisher
        .make(&publisher.of_folder("way").name("mf6/test"))
        .unwrap();
    assert_eq!(publisher.made(), expected());
}

#[test]
fn a_path_that_is_not_a_folder_is_refused() {
    let publisher = with_work_tree();
    let error = publisher.refuse(&publisher.of_folder("work/none"));
    assert_eq!(error.code(), "STORAGE_ERROR");
    assert!(chain(&error).contains("none"), "{}", chain(&error));
    let error = publisher.refuse(&publisher.of_folder("work/README.md"));
    assert_eq!(error.code(), "INVALID_ARGUMENT");
    assert!(
        error.to_string().contains("README.md is not a folder"),
        "{error}"
    );
}

#[test]
fn making_a_registry_can_be_cancelled() {
    let publisher = with_work_tree();
    let cancel = CancelToken::new();
    cancel.cancel();
    let error = publisher.refuse(&publisher.of_folder("work").cancel(cancel));
    assert_eq!(error.code(), "CANCELLED");
}

#[test]
fn names_that_are_not_portable_are_refused() {
    // Only on systems that allow such names.
    for name in ["con.txt", "a:b", "trailing.", "back\\slash", "quest?ion"] {
        let publisher = with_work_tree();
        let folder = publisher.rack.temp.path().join("work/mf6/test001a");
        let is_there = |_| {
            let mut entries = fs::read_dir(&folder).unwrap();
            entries.any(|entry| entry.unwrap().file_name() == name)
        };
        if !fs::write(folder.join(name), "x").is_ok_and(is_there) {
            continue;
        }
        let error = publisher.refuse(&publisher.of_folder("work/mf6"));
        assert_eq!(error.code(), "REGISTRY_ERROR", "{name}");
        let shown = name.escape_debug().to_string();
        assert!(error.to_string().contains(&shown), "{error}");
        // Outside of models it is ignored.
        fs::remove_file(folder.join(name)).unwrap();
        fs::write(publisher.rack.temp.path().join("work/mf6").join(name), "x").unwrap();
        publisher.make(&publisher.of_folder("work/mf6")).unwrap();
    }
}

#[test]
fn names_that_differ_only_in_case_are_refused() {
    let publisher = with_work_tree();
    publisher.write("work/mf6", &[("test001a/FLOW.nam", "x")]);
    let folder = publisher.rack.temp.path().join("work/mf6/test001a");
    if fs::read(folder.join("flow.nam")).unwrap() == b"x" {
        return;
    }
    let error = publisher.refuse(&publisher.of_folder("work/mf6"));
    assert_eq!(error.code(), "REGISTRY_ERROR");
    assert!(chain(&error).contains("only in case"), "{}", chain(&error));
}

#[test]
fn an_earlier_made_registry_is_replaced() {
    let publisher = with_work_tree();
    let options = publisher.of_folder("work/mf6").name("mf6/test");
    for before in [
        "",
        "schema_version = 1\n[files]\n",
        "generated_at = 2026-01-01T00:00:00Z\ndevtools_version = \"1\"\nroot = \"x\"\nasset = \"x.zip\"\n[_meta]\na = 1\n[models]\n[examples]\n",
    ] {
        publisher.write("output", &[("models.toml", before)]);
        publisher.make(&options).unwrap();
        assert_eq!(publisher.made(), expected());
    }
}

#[test]
fn an_unreadable_file_is_not_replaced() {
    let publisher = with_work_tree();
    let options = publisher.of_folder("work/mf6").name("mf6/test");
    let path = publisher.output().join("models.toml");
    for (theirs, reason) in [
        ("= broken\n", "malformed"),
        ("entries = 1\n", "malformed"),
        ("schema_version = \"9\"\n", "not supported"),
    ] {
        publisher.write("output", &[("models.toml", theirs)]);
        let error = publisher.refuse(&options);
        assert_eq!(error.code(), "REGISTRY_ERROR");
        let message = error.to_string();
        assert!(message.contains(reason), "{message}");
        assert!(message.contains("another output folder"), "{message}");
        assert_eq!(fs::read_to_string(&path).unwrap(), theirs);
    }
}

#[test]
fn registered_models_stay_beside_made_ones() {
    let publisher = with_work_tree();
    publisher.write("work", &[("weights/tiny.bin", "tiny")]);
    let work = publisher.rack.temp.path().join("work");
    let mut project = Project::open(&work, &Default::default()).unwrap();
    let added = project.add(&[work.join("weights/tiny.bin")], &AddOptions::default());
    assert_eq!(added.unwrap().registered.len(), 1);
    let make = |folder: &str| publisher.of_folder(folder).output(work.join(".registry"));
    // For the whole work tree, whose top is the project.
    let options = make("work").name("mf6/test");
    let report = publisher.make(&options).unwrap();
    let text = fs::read_to_string(&report.path).unwrap();
    assert!(
        text.contains("[entries.tiny]\n") && text.contains("\n\"tiny\" = [\n"),
        "{text}"
    );
    assert!(text.contains("mfsim.nam\""), "{text}");
    publisher.make(&options).unwrap();
    assert_eq!(fs::read_to_string(&report.path).unwrap(), text);
    // Registering still works, and removing keeps the made models.
    let mut project = Project::open(&work, &Default::default()).unwrap();
    assert_eq!(project.registry().entries.len(), 1);
    project.remove(&["tiny"], &CancelToken::new()).unwrap();
    let text = fs::read_to_string(&report.path).unwrap();
    assert!(
        !text.contains("tiny") && text.contains("mfsim.nam\""),
        "{text}"
    );
}

#[test]
fn conflicts_with_registered_models_are_refused() {
    let publisher = with_work_tree();
    publisher.write("work", &[("mf6.bin", "mf6"), ("a/mfsim.nam", "x")]);
    let work = publisher.rack.temp.path().join("work");
    let mut project = Project::open(&work, &Default::default()).unwrap();
    let id = AddOptions::default().id("a");
    project.add(&[work.join("mf6.bin")], &id).unwrap();
    let before = fs::read(project.registry_path()).unwrap();
    publisher.repo.release(
        "v1",
        [("all.zip", zip(&[("b/mfsim.nam", b"x".as_slice())]))],
    );
    for (options, reason) in [
        (publisher.of_folder("work/mf6"), "are below ''"),
        (publisher.of_asset("v1", "all.zip", ""), "not in a zip"),
        (publisher.of_folder("work"), "a model 'a' is registered"),
    ] {
        let error = publisher.refuse(&options.output(work.join(".registry")));
        let message = error.to_string();
        assert!(message.contains(reason), "{message}");
        assert!(message.contains("another output folder"), "{message}");
        assert_eq!(fs::read(project.registry_path()).unwrap(), before);
    }
}

#[test]
fn the_root_of_a_project_is_its_path_in_the_repository() {
    let publisher = with_work_tree();
    publisher.write("work", &[("here/w.bin", "w"), ("there/x.bin", "x")]);
    let folder = |name: &str| publisher.rack.temp.path().join("work").join(name);
    let mut project = Project::open(folder("here"), &Default::default()).unwrap();
    project
        .add(&[folder("here/w.bin")], &AddOptions::default())
        .unwrap();
    let text = |name: &str| fs::read_to_string(folder(name).join(".registry/models.toml")).unwrap();
    assert!(
        text("here").contains("\nroot = \"here\"\n"),
        "{}",
        text("here")
    );
    // It is moved, and the next change records that.
    fs::rename(folder("here"), folder("moved")).unwrap();
    let mut project = Project::open(folder("moved"), &Default::default()).unwrap();
    let status = |project: &Project| project.status(&StatusOptions::default()).unwrap().findings;
    assert_eq!(
        status(&project)[0].message,
        "Registered at 'here' in its repository, now at 'moved' in its repository"
    );
    project.resync(&ResyncOptions::default()).unwrap();
    assert_eq!(status(&project), []);
    assert!(
        text("moved").contains("\nroot = \"moved\"\n"),
        "{}",
        text("moved")
    );
    // Models made from another folder cannot move with it.
    let options = publisher
        .of_folder("work/mf6")
        .output(folder("there/.registry"));
    publisher.make(&options).unwrap();
    let before = text("there");
    let mut project = Project::open(folder("there"), &Default::default()).unwrap();
    let error = project
        .add(&[folder("there/x.bin")], &AddOptions::default())
        .unwrap_err();
    assert!(error.to_string().contains("below 'mf6'"), "{error}");
    assert_eq!(text("there"), before);
}
