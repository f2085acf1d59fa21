//! Hostile registries and files: nothing is lost, and nothing grows without limits.

use modelrack::ErrorKind;
use modelrack::project::{AddOptions, Project, PublishOptions, Remedy};

use super::folder::{Folder, failures, gnn, ids};
use super::singles;

const HASH: &str = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";

fn project_with(entries: &str) -> (singles::Folder, Project) {
    let folder = singles::Folder::new();
    folder.write("a", "x");
    std::fs::create_dir(folder.own("")).unwrap();
    folder.damage(entries.as_bytes());
    let project = folder.open();
    (folder, project)
}

#[test]
fn the_sum_of_sizes_saturates() {
    let file = format!("{{ hash = \"{HASH}\", size = {} }}", i64::MAX);
    let (folder, project) = project_with(&format!(
        "[entries.a]\ncurrent = \"1\"\npath = \"a.bin\"\n[entries.a.versions.1.files]\n\
         a = {file}\nb = {file}\nc = {file}\n"
    ));
    let (_, version) = project.registry().current("a").unwrap();
    assert_eq!(version.total_bytes(), u64::MAX);
    let report = project.report(&folder.temp.path().join("out")).unwrap();
    let summary = report.path.with_file_name("model_registry_summary.json");
    let summary = std::fs::read_to_string(summary).unwrap();
    assert!(summary.contains(&format!("\"total_bytes\": {}", u64::MAX)));
}

#[test]
fn a_model_without_files_is_not_published() {
    let (folder, project) =
        project_with("[entries.a]\ncurrent = \"1\"\npath = \"a.bin\"\n[entries.a.versions.1]\n");
    let published = folder.temp.path().join("out");
    let error = project
        .publish(&[], &published, &PublishOptions::default())
        .unwrap_err();
    let error = crate::support::chain(&error);
    assert!(error.contains("no files to publish"), "{error}");
    assert!(!published.exists());
}

#[test]
fn no_model_is_published_if_one_is_refused() {
    let folder = Folder::with(&[("a.bin", "x"), ("b.bin", "y")]);
    folder.add(&["a.bin"]);
    folder.add_with(&["b.bin"], &AddOptions::default().version("latest"));
    let published = tempfile::tempdir().unwrap();
    let publish = |alias: &str| {
        let options = PublishOptions::default().aliases([alias]);
        folder.project().publish(&[], published.path(), &options)
    };
    let error = publish("latest").unwrap_err().to_string();
    assert!(
        error.contains("'latest' of models/b is the version itself"),
        "{error}"
    );
    let index = published.path().join("models.json");
    assert!(!index.exists());
    assert_eq!(publish("newest").unwrap().len(), 2);
    let index = std::fs::read_to_string(index).unwrap();
    assert_eq!(index.matches("\"newest\"").count(), 2, "{index}");
}

#[test]
fn nothing_unreadable_is_registered() {
    let nameless = "@calibration_target(model_output='')\ndef nameless():\n    pass\n";
    let folder = Folder::with(&[
        ("code/nameless.py", nameless),
        (
            "code/fine.py",
            "@target(model_output='y')\ndef fine():\n    pass\n",
        ),
        ("plain.py", "def f():\n    pass\n"),
        ("a.bin", "x"),
    ]);
    let report = folder.add(&["code"]);
    assert_eq!(ids(&report), ["fine"]);
    let failed = failures(&report.failed);
    assert!(failed[0].1.contains("are not empty"), "{failed:?}");
    let target = |entrypoint: &str, output: &str| {
        AddOptions::default()
            .entrypoint(entrypoint)
            .model_output(output)
    };
    for options in [target("plain:f", ""), target("", "y")] {
        let report = folder.add_with(&["plain.py"], &options);
        let failed = failures(&report.failed);
        assert!(failed[0].1.contains("are not empty"), "{failed:?}");
    }
    let unnamed_set = AddOptions::default().target_set(String::new());
    let error = folder.try_add(&["code"], &unnamed_set).unwrap_err();
    assert!(
        matches!(error.kind(), ErrorKind::InvalidArgument { .. }),
        "{error}"
    );
    // An empty value given by hand clears the field for good.
    let nothing = AddOptions::default()
        .model_type(String::new())
        .entrypoint(String::new());
    folder.add_with(&["a.bin"], &nothing);
    let report = folder.add_with(&["a.bin"], &nothing);
    assert_eq!(report.unchanged, ["a"]);
    let project = folder.project();
    let entry = &project.registry().entries["a"];
    assert_eq!((&entry.model_type, &entry.entrypoint), (&None, &None));
    assert_eq!(project.recovered(), None);
}

#[test]
fn a_remedy_has_unescaped_names() {
    let folder = Folder::with(&[("m/known.md", gnn("Known", ""))]);
    folder.add(&["m"]);
    let new = [
        "m/$(x).md",
        "m/`x`.md",
        "m/a b.md",
        "m/it's.md",
        "m/plain.md",
    ];
    let text = gnn("New", "");
    let files: Vec<(&str, &str)> = new.iter().map(|name| (*name, &*text)).collect();
    folder.write(&files);
    let findings = folder.status().findings.into_iter();
    let remedies: Vec<Remedy> = findings.map(|finding| finding.remedy.unwrap()).collect();
    let add = |path: &str| Remedy::Add { path: path.into() };
    assert_eq!(remedies, new.map(add));
}

#[test]
fn a_remedy_lists_all_available_outputs() {
    let outputs: Vec<String> = (0..40).map(|number| format!("out{number:02}")).collect();
    let folder = Folder::with(&[("a.bin", "x"), ("t.py", "def f():\n    pass\n")]);
    folder.add_with(&["a.bin"], &AddOptions::default().outputs(outputs.clone()));
    let target = AddOptions::default().entrypoint("t:f");
    folder.add_with(&["t.py"], &target.model_output("other"));
    let remedy = folder.status().findings[0].remedy.clone();
    let output = "other".to_owned();
    let available = outputs;
    assert_eq!(remedy, Some(Remedy::ProvideOutput { output, available }));
}
