//! Versions: which one a model gets, and that earlier ones are kept.

use modelrack::manifest::RelPath;
use modelrack::project::{AddOptions, ResyncOptions};

use super::folder::{Folder, SIR, failures, gguf, gnn, weights};

fn version(number: &str) -> AddOptions {
    AddOptions::default().version(number)
}

fn current(folder: &Folder, id: &str) -> String {
    folder.project().registry().entries[id].current.clone()
}

#[test]
fn the_first_version_is_given_or_stated_or_1_0_0() {
    let stated = gnn("M", "## ModelVersion\n2.1\n");
    for (text, given, expected) in [
        (gnn("M", ""), None, "1.0.0"),
        (stated.clone(), None, "2.1"),
        (stated, Some("0.3-rc1"), "0.3-rc1"),
        (gnn("M", ""), Some("q4_K_M"), "q4_K_M"),
    ] {
        let folder = Folder::with(&[("m.md", text)]);
        let mut options = AddOptions::default();
        options.version = given.map(str::to_owned);
        let report = folder.add_with(&["m.md"], &options);
        assert_eq!(report.registered[0].version.as_deref(), Some(expected));
        assert_eq!(current(&folder, "m"), expected);
    }
}

#[test]
fn a_changed_model_gets_the_next_version_and_keeps_its_history() {
    let folder = Folder::with(&[("m.gguf", gguf(&[]))]);
    let mut digests = Vec::new();
    for (at, expected) in ["1.0.0", "1.0.1", "1.0.2", "1.0.3"].iter().enumerate() {
        folder.write(&[("m.gguf", gguf(&[("general.name", &format!("M{at}"))]))]);
        let report = folder.add(&["m.gguf"]);
        let item = &report.registered[0];
        assert_eq!(item.version.as_deref(), Some(*expected));
        assert_eq!(item.is_new, at == 0);
        let project = folder.project();
        let (entry, version) = project.registry().current("m").unwrap();
        assert_eq!(entry.name, format!("M{at}"));
        digests.push((
            version.digest,
            version.files[&RelPath::parse("m.gguf").unwrap()].digest,
        ));
    }
    let project = folder.project();
    let history = project.registry().entries["m"].history();
    let names: Vec<&str> = history.iter().map(|(name, _)| *name).collect();
    assert_eq!(names, ["1.0.0", "1.0.1", "1.0.2", "1.0.3"]);
    let kept = history.iter().map(|(_, version)| {
        let file = version.files.values().next().unwrap();
        (version.digest, file.digest)
    });
    assert_eq!(kept.collect::<Vec<_>>(), digests);
}

#[test]
fn unchanged_files_give_no_new_version() {
    let folder = Folder::registered();
    let before = folder.snapshot();
    let report = folder.add(&["models", "targets"]);
    assert_eq!(
        report.unchanged,
        ["agent", "incidence_target", "sir", "tiny"]
    );
    assert_eq!((report.processed, report.registered.len()), (4, 0));
    assert_eq!(folder.snapshot(), before);
    // Giving the current version by hand changes nothing.
    let same = folder.add_with(&["models/sir.py"], &version("1.0.0"));
    assert_eq!(same.unchanged, ["sir"]);
    // The same files may get a higher version.
    let higher = folder.add_with(&["models/sir.py"], &version("1.1.0"));
    assert_eq!(higher.registered[0].previous.as_deref(), Some("1.0.0"));
    let project = folder.project();
    let history = project.registry().entries["sir"].history();
    assert_eq!(history[0].1.digest, history[1].1.digest);
}

#[test]
fn only_a_newly_stated_version_counts() {
    let stating =
        |version: &str, more: &str| gnn("M", &format!("{more}\n## ModelVersion\n{version}\n"));
    let folder = Folder::new();
    for (text, expected) in [
        (stating("1.2.0", ""), "1.2.0"),
        // Changed, but still stating the same version.
        (stating("1.2.0", "# a"), "1.2.1"),
        (stating("1.2.0", "# b"), "1.2.2"),
        // Stating a version that an earlier state had.
        (stating("1.2.1", "# c"), "1.2.3"),
        (stating("1.3", "# d"), "1.3"),
        (gnn("M", "# e"), "1.3.1"),
        (stating("v1", "# f"), "v1"),
    ] {
        folder.write(&[("m.md", &text)]);
        let report = folder.add(&["m.md"]);
        assert!(report.failed.is_empty(), "{:?}", report.failed);
        assert_eq!(current(&folder, "m"), expected, "{text}");
    }
}

#[test]
fn a_lower_version_is_refused() {
    let folder = Folder::with(&[("m.md", gnn("M", "").into_bytes()), ("n.gguf", gguf(&[]))]);
    folder.add_with(&["m.md"], &version("2.0.0"));
    folder.write(&[("m.md", gnn("M", "# changed"))]);
    let text = folder.text();
    for (number, reason) in [
        ("1.9.9", "below the highest, 2.0.0"),
        ("2.0.0-rc1", "below the highest, 2.0.0"),
        ("2.0.0", "already registered"),
        ("a\\b", "backslash"),
        ("", "empty"),
    ] {
        let report = folder.add_with(&["m.md"], &version(number));
        let failed = failures(&report.failed);
        assert_eq!(failed[0].0, "m.md");
        assert!(failed[0].1.contains(reason), "{number}: {failed:?}");
        assert_eq!(folder.text(), text, "{number}");
    }
    // A file may state one too; the others are registered.
    folder.write(&[("m.md", gnn("M", "## ModelVersion\n1.0\n"))]);
    let report = folder.add(&["."]);
    assert_eq!(report.registered[0].id, "n");
    assert!(
        failures(&report.failed)[0]
            .1
            .contains("choose a higher one")
    );
}

#[test]
fn changed_data_or_code_changes_the_model() {
    let folder = Folder::with(&[("m.gguf", gguf(&[])), ("d.csv", b"1".to_vec())]);
    let with_data = AddOptions::default().data(vec![folder.path("d.csv")]);
    folder.add_with(&["m.gguf"], &with_data);
    folder.write(&[("d.csv", "2")]);
    folder.add(&["m.gguf"]);
    assert_eq!(current(&folder, "m"), "1.0.1");
    let project = folder.project();
    let data = RelPath::parse("d.csv").unwrap();
    let history = project.registry().entries["m"].history();
    assert_ne!(history[0].1.files[&data], history[1].1.files[&data]);
}

#[test]
fn fields_set_by_hand_override_the_files() {
    let folder = Folder::with(&[
        ("sir.py", SIR.as_bytes()),
        ("m.md", gnn("Old", "").as_bytes()),
    ]);
    let options = AddOptions::default()
        .name("By hand")
        .description("Mine")
        .model_type("epidemic")
        .tags(["kept"]);
    let outputs = options.clone().outputs(["cases"]);
    folder.add_with(&["sir.py"], &outputs);
    folder.add_with(&["m.md"], &options);
    let check = |folder: &Folder| {
        let project = folder.project();
        for id in ["sir", "m"] {
            let entry = &project.registry().entries[id];
            assert_eq!((&*entry.name, &*entry.description), ("By hand", "Mine"));
            assert_eq!(entry.model_type.as_deref(), Some("epidemic"));
            assert!(entry.tags.contains("kept"));
        }
        assert_eq!(project.registry().entries["sir"].outputs, ["cases"]);
    };
    check(&folder);
    folder.edit("sir.py", "prevalence", "deaths");
    folder.edit("m.md", "Old", "New");
    folder.add(&["."]);
    check(&folder);
    folder.edit("sir.py", "Susceptible", "Healthy");
    folder.edit("m.md", "New", "Newest");
    let report = folder.sync(&ResyncOptions::default());
    assert!(report.applied);
    check(&folder);
    // A new value by hand replaces it.
    let again = AddOptions::default().description("Other");
    folder.add_with(&["m.md"], &again);
    assert_eq!(
        folder.project().registry().entries["m"].description,
        "Other"
    );
}

#[test]
fn other_fields_follow_the_files() {
    let folder = Folder::with(&[("m.md", gnn("Old", "## ModelAnnotation\nWords.\n"))]);
    folder.add(&["m.md"]);
    folder.write(&[("m.md", gnn("New", "## ModelAnnotation\nMore words.\n"))]);
    folder.add(&["m.md"]);
    let of = || {
        let entry = folder.project().registry().entries["m"].clone();
        (entry.name, entry.description, entry.model_type)
    };
    assert_eq!(
        of(),
        ("New".into(), "More words.".into(), Some("other".into()))
    );
    // A file that states nothing clears nothing.
    folder.write(&[("m.md", "# Nothing is said here")]);
    folder.add(&["m.md"]);
    assert_eq!(
        of(),
        ("New".into(), "More words.".into(), Some("other".into()))
    );
    assert_eq!(current(&folder, "m"), "1.0.2");
}

#[test]
fn a_changed_description_is_no_new_version() {
    let folder = Folder::with(&[("w.safetensors", weights(&[1]))]);
    folder.add(&["w.safetensors"]);
    let tagged = AddOptions::default().tags(["new"]);
    let report = folder.add_with(&["w.safetensors"], &tagged);
    assert_eq!(report.registered[0].version.as_deref(), Some("1.0.0"));
    assert!(!report.registered[0].is_new);
    let project = folder.project();
    let entry = &project.registry().entries["w"];
    assert_eq!((entry.versions.len(), entry.tags.len()), (1, 1));
}

#[test]
fn files_that_are_as_an_earlier_version_has_them_are_that_version_again() {
    let folder = Folder::with(&[("m/a.txt", "1"), ("m/b.txt", "2")]);
    folder.add_with(&["m"], &AddOptions::default().id("m"));
    let first = folder.project().registry().entries["m"].versions["1.0.0"].clone();
    // A file goes elsewhere, which is registered, and returns.
    folder.rename("m/b.txt", "away/b.txt");
    assert!(folder.sync(&ResyncOptions::default().force(true)).applied);
    assert_eq!(current(&folder, "m"), "1.0.1");
    folder.rename("away/b.txt", "m/b.txt");
    let report = folder.sync(&ResyncOptions::default());
    let fields = &report.difference.changed[0].fields;
    assert_eq!(fields[0].to_string(), "version: 1.0.1 -> 1.0.0");
    let project = folder.project();
    let entry = &project.registry().entries["m"];
    assert_eq!((entry.versions.len(), entry.current.as_str()), (2, "1.0.0"));
    assert_eq!(entry.versions["1.0.0"], first);
    // The same by registering, also where the version is given.
    folder.write(&[("m/b.txt", "3")]);
    let report = folder.add(&["m"]);
    assert_eq!(report.registered[0].version.as_deref(), Some("1.0.2"));
    folder.write(&[("m/b.txt", "2")]);
    for options in [AddOptions::default(), version("1.0.0")] {
        folder.add_with(&["m"], &options.id("m"));
        assert_eq!(current(&folder, "m"), "1.0.0");
    }
    // What is new comes after the highest.
    folder.write(&[("m/b.txt", "4")]);
    let lower = folder.add_with(&["m"], &version("1.0.1.5").id("m"));
    assert!(
        failures(&lower.failed)[0]
            .1
            .contains("below the highest, 1.0.2")
    );
    folder.sync(&ResyncOptions::default());
    assert_eq!(current(&folder, "m"), "1.0.3");
}
