//! The registry of a project is never lost: failed writes, other programs, limits.

use std::fs::{self, File};
use std::time::Duration;

use modelrack::project::{AddOptions, Project, ProjectOptions, ResyncOptions};
use modelrack::{CancelToken, ErrorKind};

use super::singles::{Folder, ids, names};
use crate::support::disk::names_in;
use crate::support::platform::read_only;

/// The versions of a model, the oldest first.
fn versions<'a>(project: &'a Project, id: &str) -> Vec<&'a str> {
    let history = project.registry().entries[id].history();
    history.into_iter().map(|(version, _)| version).collect()
}

#[test]
fn a_failed_save_keeps_the_change_in_memory() {
    let folder = Folder::registered();
    let before = folder.text();
    let mut project = folder.open();
    // A folder is in the place of the backup.
    let backup = folder.own("models.toml.bak");
    fs::remove_file(&backup).unwrap();
    fs::create_dir_all(backup.join("x")).unwrap();
    for (number, model) in ["c", "d"].into_iter().enumerate() {
        folder.write(model, "1");
        let error = folder.add_to(&mut project, model).unwrap_err();
        assert!(
            matches!(error.code(), "STORAGE_ERROR" | "PERMISSION_ERROR"),
            "{error}"
        );
        assert_eq!(ids(&project).len(), 3 + number);
        assert_eq!(folder.text(), before);
    }
    project.save().unwrap_err();
    fs::remove_dir_all(&backup).unwrap();
    project.save().unwrap();
    assert_eq!(ids(&folder.open()), ["a", "b", "c", "d"]);
    assert_eq!(fs::read_to_string(&backup).unwrap(), before);
    // There is nothing left to save.
    let saved = folder.text();
    folder.damage(saved.replace("# end", "# end ").as_bytes());
    project.save().unwrap();
    assert!(folder.text().contains("# end "));
    assert_eq!(names(&folder.own("")), ["models.toml", "models.toml.bak"]);
}

#[test]
fn a_failed_save_never_overwrites_changes_of_another_program() {
    let folder = Folder::registered();
    let mut project = folder.open();
    // Another program's change before the failure is kept.
    folder.write("c", "1");
    folder.add("c");
    let backup = folder.own("models.toml.bak");
    fs::remove_file(&backup).unwrap();
    fs::create_dir_all(backup.join("x")).unwrap();
    folder.write("d", "1");
    folder.add_to(&mut project, "d").unwrap_err();
    assert_eq!(ids(&project), ["a", "b", "c", "d"]);
    fs::remove_dir_all(&backup).unwrap();
    project.save().unwrap();
    assert_eq!(ids(&folder.open()), ["a", "b", "c", "d"]);
    // After the failure, saving is refused, and both keep what they have.
    fs::remove_file(&backup).unwrap();
    fs::create_dir_all(backup.join("x")).unwrap();
    folder.write("e", "1");
    folder.add_to(&mut project, "e").unwrap_err();
    fs::remove_dir_all(&backup).unwrap();
    folder.write("f", "1");
    folder.add("f");
    let error = project.save().unwrap_err();
    assert!(
        error.to_string().contains("another program has changed it"),
        "{error}"
    );
    assert_eq!(ids(&project), ["a", "b", "c", "d", "e"]);
    assert_eq!(ids(&folder.open()), ["a", "b", "c", "d", "f"]);
}

#[test]
fn waiting_for_the_lock_times_out() {
    let folder = Folder::registered();
    let path = folder.own(".models.toml.lock");
    let lock = File::create(&path).unwrap();
    lock.lock().unwrap();
    folder.write("c", "1");
    let options = ProjectOptions::default().lock_limit(Duration::ZERO);
    let mut project = Project::open(folder.temp.path(), &options).unwrap();
    let error = folder.add_to(&mut project, "c").unwrap_err();
    assert!(
        matches!(error.kind(), ErrorKind::Locked { path, .. } if path.ends_with(".models.toml.lock"))
    );
    let cancel = CancelToken::new();
    cancel.cancel();
    let error = folder.open().remove(&["a"], &cancel).unwrap_err();
    assert!(error.is_cancelled(), "{error}");
    // Reading needs no lock.
    assert_eq!(ids(&folder.open()), ["a", "b"]);
    drop(lock);
    folder.add_to(&mut project, "c").unwrap();
    assert_eq!(ids(&folder.open()), ["a", "b", "c"]);
}

#[test]
fn concurrent_additions_lose_nothing() {
    let folder = Folder::new();
    let models: Vec<String> = (0..24).map(|number| format!("m{number:02}")).collect();
    for model in &models {
        folder.write(model, model);
    }
    std::thread::scope(|scope| {
        for some in models.chunks(6) {
            scope.spawn(|| some.iter().for_each(|model| drop(folder.add(model))));
        }
    });
    assert_eq!(ids(&folder.open()), models);
}

#[test]
fn a_too_large_registry_is_refused_or_loses_its_oldest_versions() {
    let folder = Folder::new();
    folder.add_versions("a", 12);
    folder.add_versions("b", 2);
    let before = folder.text();
    folder.write("c", "1");
    let most = u64::try_from(before.len()).unwrap();
    let options = ProjectOptions::default().max_bytes(most);
    let mut project = Project::open(folder.temp.path(), &options).unwrap();
    let error = folder.add_to(&mut project, "c").unwrap_err();
    assert!(
        matches!(error.kind(), ErrorKind::RegistryTooLarge { max_bytes, .. } if *max_bytes == most),
        "{error}"
    );
    assert_eq!(folder.text(), before);
    // In memory it is complete, and can be saved with a larger limit.
    assert_eq!(ids(&project), ["a", "b", "c"]);
    project.set_options(&ProjectOptions::default());
    project.save().unwrap();
    assert_eq!(versions(&folder.open(), "a").len(), 12);
    assert!(project.dropped_versions().is_empty());

    folder.write("d", "1");
    project.set_options(&ProjectOptions::default().max_bytes(most).keep_versions(3));
    folder.add_to(&mut project, "d").unwrap();
    assert_eq!(versions(&project, "a"), ["1.0.9", "1.0.10", "1.0.11"]);
    assert_eq!(versions(&project, "b"), ["1.0.0", "1.0.1"]);
    let dropped: Vec<_> = (0..9)
        .map(|patch| ("a".to_owned(), format!("1.0.{patch}")))
        .collect();
    assert_eq!(project.dropped_versions(), dropped);
    assert_eq!(folder.open().registry(), project.registry());
    // Nothing is dropped if there is room.
    folder.write("e", "1");
    folder.add_to(&mut project, "e").unwrap();
    assert!(project.dropped_versions().is_empty());
    // Nothing is dropped if that would not be enough.
    project.set_options(&ProjectOptions::default().max_bytes(500).keep_versions(1));
    folder.write("f", "1");
    folder.add_to(&mut project, "f").unwrap_err();
    assert_eq!(versions(&project, "a").len(), 3);
    assert_eq!(ids(&folder.open()), ["a", "b", "c", "d", "e"]);
}

#[test]
fn tables_and_keys_of_other_programs_are_kept() {
    let folder = Folder::registered();
    let text = folder.text();
    let text = text.replacen(
        "schema_version = \"1.0\"\n",
        "schema_version = \"1.0\"\nowner = \"us\"\nlist = [1, { x = 2 }]\n",
        1,
    );
    let text = text.replacen(
        "current =",
        "colour = \"red\"\nbox = { w = 1 }\ncurrent =",
        1,
    );
    let others = "\n[tool.ours]\n\"a key\" = 1979-05-27\n[tool.ours.deep]\nmore = [true]\n[[things]]\nname = \"one\"\n";
    let text = text.replace("# end\n", &format!("{others}\n# end\n"));
    folder.damage(text.as_bytes());
    let kept = |what: &str| {
        assert_eq!(folder.open().recovered(), None, "{what}");
        let table: toml::Table = folder.text().parse().unwrap();
        assert_eq!(table["owner"].as_str(), Some("us"), "{what}");
        assert_eq!(table["list"][1]["x"].as_integer(), Some(2), "{what}");
        assert_eq!(
            table["tool"]["ours"]["a key"].to_string(),
            "1979-05-27",
            "{what}"
        );
        assert_eq!(
            table["tool"]["ours"]["deep"]["more"][0].as_bool(),
            Some(true),
            "{what}"
        );
        assert_eq!(table["things"][0]["name"].as_str(), Some("one"), "{what}");
        assert_eq!(
            table["entries"]["a"]["colour"].as_str(),
            Some("red"),
            "{what}"
        );
        assert_eq!(
            table["entries"]["a"]["box"]["w"].as_integer(),
            Some(1),
            "{what}"
        );
    };
    folder.write("c", "1");
    folder.add("c");
    kept("add");
    folder.write("a", "2");
    folder.add("a");
    kept("add of the same");
    folder.write("a", "3");
    assert!(
        folder
            .open()
            .resync(&ResyncOptions::default())
            .unwrap()
            .applied
    );
    kept("sync");
    folder.open().remove(&["b"], &CancelToken::new()).unwrap();
    kept("remove");
    let before = folder.text();
    folder.open().remove(&["c"], &CancelToken::new()).unwrap();
    folder.add("c");
    let mut same = folder.text();
    for text in [&before, &same.clone()] {
        // The time alone may differ.
        let line = text
            .lines()
            .rfind(|line| line.starts_with("registered_at"))
            .unwrap();
        same = same.replace(line, "registered_at");
    }
    assert_eq!(same.lines().count(), before.lines().count());
}

#[test]
fn an_empty_change_writes_nothing() {
    let folder = Folder::new();
    let mut project = folder.open();
    let missing = [folder.temp.path().join("missing")];
    let report = project.add(&missing, &AddOptions::default()).unwrap();
    assert_eq!(report.failed.len(), 1);
    project.resync(&ResyncOptions::default()).unwrap();
    project.remove(&["x"], &CancelToken::new()).unwrap_err();
    assert_eq!(names_in(folder.temp.path()), Vec::<String>::new());
    folder.write("a", "1");
    folder.add("a");
    let before = fs::metadata(folder.own("models.toml"))
        .unwrap()
        .modified()
        .unwrap();
    folder.add("a");
    assert_eq!(
        fs::metadata(folder.own("models.toml"))
            .unwrap()
            .modified()
            .unwrap(),
        before
    );
    assert_eq!(names_in(&folder.own("")), [".gitignore", "models.toml"]);
}

#[test]
fn the_next_change_removes_leftovers_of_killed_programs() {
    let folder = Folder::registered();
    for name in [
        "models.toml.77-0.tmp",
        "models.toml.bak.77-1.tmp",
        ".gitignore.7-0.tmp",
        ".models.toml.lock",
        "mine.tmp",
    ] {
        fs::write(folder.own(name), "half").unwrap();
    }
    folder.write("c", "1");
    folder.add("c");
    assert_eq!(
        names(&folder.own("")),
        ["mine.tmp", "models.toml", "models.toml.bak"]
    );
}

#[test]
fn a_read_only_folder_can_be_read() {
    let folder = Folder::registered();
    let before = folder.text();
    folder.write("c", "1");
    let own = folder.own("");
    let Some(_guard) = read_only(&own) else {
        return;
    };
    let mut project = folder.open();
    assert_eq!(ids(&project), ["a", "b"]);
    let error = folder.add_to(&mut project, "c").unwrap_err();
    assert_eq!(error.code(), "PERMISSION_ERROR", "{error}");
    assert_eq!(folder.text(), before);
}
