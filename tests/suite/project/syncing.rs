//! Updating the registry from the files: differences are reported, and nothing is dropped without `force`.

use std::fs;

use modelrack::CancelToken;
use modelrack::project::{
    AddOptions, Category, Difference, ItemKind, ProjectOptions, Remedy, ResyncOptions,
};

use super::folder::{Folder, SIR, TARGET, failures, gguf, gnn, weights};

const CLEAN: [&str; 1] = ["note unused_output sir: No target uses output 'prevalence'"];

fn options() -> ResyncOptions {
    ResyncOptions::default()
}

/// The differences, one per line: fields and files, then what is dropped.
fn lines(difference: &Difference) -> Vec<String> {
    let mut lines = Vec::new();
    for change in &difference.changed {
        for field in &change.fields {
            let (id, name) = (&change.id, field.field);
            lines.push(format!("{id} {name}: {} -> {}", field.from, field.to));
        }
        for (sign, files) in [
            ("~", &change.files_changed),
            ("+", &change.files_added),
            ("-", &change.files_removed),
        ] {
            let files = files
                .iter()
                .map(|file| format!("{} {sign}{file}", change.id));
            lines.extend(files);
        }
    }
    for dropped in &difference.dropped {
        let (kind, id) = (dropped.kind.as_str(), &dropped.id);
        let files: Vec<&str> = dropped
            .files
            .iter()
            .map(modelrack::manifest::RelPath::as_str)
            .collect();
        lines.push(
            format!("drop {kind} {id} {}", files.join(" "))
                .trim_end()
                .to_owned(),
        );
    }
    lines
}

#[test]
fn a_current_registry_is_not_changed() {
    let folder = Folder::registered();
    let before = folder.snapshot();
    let reports = [
        folder.sync(&options()),
        folder.plan_sync(&options()),
        folder.sync(&options().force(true)),
    ];
    for report in reports {
        assert!(report.difference.is_empty() && !report.applied && !report.needs_force);
        assert_eq!(report.difference.unchanged, 4);
        assert!(folder.snapshot() == before);
    }
}

#[test]
fn changes_are_reported_and_registered() {
    let folder = Folder::registered();
    folder.edit(
        "targets/incidence.py",
        "def incidence_target",
        "def incidence_mean_target",
    );
    folder.edit("models/sir.py", "\"prevalence\"", "\"deaths\"");
    folder.edit("models/sir.py", "Susceptible", "Healthy");
    folder.edit("data/observed.csv", "1,3", "1,4");
    folder.edit("models/agent.md", "s-B", "");
    let expected = [
        "agent version: 1.0.0 -> 1.0.1",
        "agent ~models/agent.md",
        "sir version: 1.0.0 -> 1.0.1",
        "sir description: Susceptible, infected, recovered. -> Healthy, infected, recovered.",
        "sir outputs: incidence, prevalence -> incidence, deaths",
        "sir ~models/sir.py",
        "incidence_target entrypoint: targets.incidence:incidence_target -> targets.incidence:incidence_mean_target",
        "incidence_target ~data/observed.csv",
        "incidence_target ~targets/incidence.py",
    ];
    let before = folder.snapshot();
    let dry = folder.plan_sync(&options());
    assert_eq!(lines(&dry.difference), expected);
    assert!(!dry.applied && !dry.needs_force);
    assert!(folder.snapshot() == before, "a dry run wrote something");
    let report = folder.sync(&options());
    assert_eq!(report.difference, dry.difference);
    assert!(report.applied && report.failed.is_empty());
    assert_eq!(
        folder.findings(),
        ["note unused_output sir: No target uses output 'deaths'"]
    );
    let project = folder.project();
    let agent = &project.registry().entries["agent"];
    let variables = |version: &str| agent.versions[version].metadata["connections"].clone();
    assert_eq!(
        (variables("1.0.0"), variables("1.0.1")),
        (11.into(), 10.into())
    );
    assert!(!folder.sync(&options()).applied);
}

#[test]
fn nothing_is_dropped_without_force() {
    type Change = fn(&Folder);
    let cases: [(&str, Change, &[&str]); 4] = [
        (
            "a model is gone",
            |folder| folder.delete("models/agent.md"),
            &["drop model agent"],
        ),
        (
            "a target's file is gone",
            |folder| folder.delete("targets/incidence.py"),
            &["drop target incidence_target"],
        ),
        (
            "a target's function is gone",
            |folder| folder.write(&[("targets/incidence.py", "A = 1\n")]),
            &["drop target incidence_target"],
        ),
        (
            "data is gone, and a model changed",
            |folder| {
                folder.delete("data/observed.csv");
                folder.write(&[("models/tiny.safetensors", weights(&[9]))]);
            },
            &[
                "tiny version: 1.0.0 -> 1.0.1",
                "tiny ~models/tiny.safetensors",
                "incidence_target data: data/observed.csv -> ",
                "incidence_target -data/observed.csv",
                "drop target incidence_target data/observed.csv",
            ],
        ),
    ];
    for (what, change, expected) in cases {
        let folder = Folder::registered();
        change(&folder);
        let before = folder.snapshot();
        let report = folder.sync(&options());
        assert_eq!(lines(&report.difference), expected, "{what}");
        assert!(report.needs_force && !report.applied, "{what}");
        assert!(folder.snapshot() == before, "{what}: something was changed");
        let dry = folder.plan_sync(&options().force(true));
        assert_eq!(dry.difference, report.difference, "{what}");
        assert!(
            folder.snapshot() == before,
            "{what}: a dry run wrote something"
        );
        let forced = folder.sync(&options().force(true));
        assert!(forced.applied && !forced.needs_force, "{what}");
        let left = folder.status();
        assert_eq!(left.errors, 0, "{what}");
        assert_eq!(left.warnings, 0, "{what}");
    }
}

#[test]
fn a_sync_that_needs_force_leaves_the_project_as_it_was() {
    let folder = Folder::registered();
    folder.delete("models/agent.md");
    let mut project = folder.project();
    let before = project.registry().clone();
    assert!(project.resync(&options()).unwrap().needs_force);
    assert!(*project.registry() == before);
    // So does one that finds a change that could not be written.
    project.set_options(&ProjectOptions::default().max_bytes(100));
    let named = AddOptions::default().name("Other");
    let paths = [folder.path("models/sir.py")];
    project.add(&paths, &named).unwrap_err();
    let unsaved = project.registry().clone();
    assert!(unsaved != before);
    project.set_options(&ProjectOptions::default());
    let preview = project.preview_resync(&options()).unwrap();
    assert!(preview.needs_force && preview.dry_run);
    assert!(*project.registry() == unsaved);
    assert!(project.resync(&options()).unwrap().needs_force);
    assert!(*project.registry() == unsaved);
    assert!(*folder.project().registry() == unsaved, "it is written now");
}

#[test]
fn a_renamed_class_is_followed_if_it_is_the_only_candidate() {
    let folder = Folder::with(&[("two.py", "class A(BaseModel):\n    outputs = ['x']\n")]);
    folder.add(&["two.py"]);
    folder.write(&[("two.py", "class B(BaseModel):\n    outputs = ['y']\n")]);
    let report = folder.sync(&options());
    assert_eq!(
        lines(&report.difference),
        [
            "two version: 1.0.0 -> 1.0.1",
            "two name: A -> B",
            "two entrypoint: two:A -> two:B",
            "two outputs: x -> y",
            "two ~two.py"
        ]
    );
    assert_eq!(folder.findings(), Vec::<String>::new());
    // With two candidates, or none, it is not followed.
    for text in [
        "class C(BaseModel):\n    outputs = ['x']\nclass D(BaseModel):\n    outputs = ['y']\n",
        "A = 1\n",
    ] {
        folder.write(&[("two.py", text)]);
        let before = folder.text();
        let report = folder.sync(&options());
        let failed = failures(&report.failed);
        assert_eq!(failed[0].0, "two.py");
        assert!(
            failed[0].1.contains("'B' of model 'two' is gone"),
            "{failed:?}"
        );
        assert!(!report.applied);
        assert_eq!(folder.text(), before);
    }
    let named = AddOptions::default().entrypoint("two:C").id("two");
    folder.write(&[(
        "two.py",
        "class C(BaseModel):\n    outputs = ['x']\nclass D(BaseModel):\n    pass\n",
    )]);
    folder.add_with(&["two.py"], &named);
    assert_eq!(folder.findings(), Vec::<String>::new());
}

#[test]
fn a_plain_function_that_was_renamed_is_found_if_it_is_the_only_one() {
    let folder = Folder::with(&[
        ("t.py", "def one():\n    pass\n"),
        ("m.py", "class M(BaseModel):\n    outputs = ['x']\n"),
    ]);
    folder.add(&["m.py"]);
    let target = AddOptions::default().model_output("x").entrypoint("t:one");
    folder.add_with(&["t.py"], &target);
    folder.edit("t.py", "def one", "def first");
    let report = folder.sync(&options());
    let changes = ["one entrypoint: t:one -> t:first", "one ~t.py"];
    assert_eq!(lines(&report.difference), changes);
    assert_eq!(folder.findings(), Vec::<String>::new());
    // With several, the publisher has to say which it is.
    folder.write(&[("t.py", "def a():\n    pass\ndef b():\n    pass\n")]);
    let findings = folder.status().findings;
    let missing = findings
        .iter()
        .find(|finding| finding.category == Category::MissingSymbol);
    let remedy = missing.and_then(|finding| finding.remedy.as_ref());
    assert!(
        matches!(remedy, Some(Remedy::ChooseFunction { target, module, .. }) if (&**target, &**module) == ("one", "t")),
        "{remedy:?}"
    );
    let report = folder.sync(&options());
    assert!(report.needs_force);
    assert_eq!(report.difference.dropped[0].id, "one");
    let chosen = AddOptions::default()
        .id("one")
        .model_output("x")
        .entrypoint("t:b");
    folder.add_with(&["t.py"], &chosen);
    assert_eq!(folder.findings(), Vec::<String>::new());
}

#[test]
fn a_renamed_function_is_not_taken_for_a_registered_one() {
    let two = "@target(model_output='x')\ndef one():\n    pass\n@target(model_output='x')\ndef other():\n    pass\n";
    let folder = Folder::with(&[
        ("t.py", two),
        ("m.py", "class M(BaseModel):\n    outputs = ['x']\n"),
    ]);
    folder.add(&["."]);
    folder.edit("t.py", "def one", "def first");
    let report = folder.sync(&options());
    assert_eq!(
        lines(&report.difference),
        [
            "one entrypoint: t:one -> t:first",
            "one ~t.py",
            "other ~t.py"
        ]
    );
    assert_eq!(folder.findings(), Vec::<String>::new());
    folder.write(&[(
        "t.py",
        "@target(model_output='x')\ndef other():\n    pass\n",
    )]);
    let report = folder.sync(&options());
    assert!(report.needs_force);
    assert_eq!(report.difference.dropped[0].id, "one");
    assert_eq!(report.difference.dropped[0].kind, ItemKind::Target);
}

#[test]
fn files_added_to_and_removed_from_a_folder_are_synced() {
    let folder = Folder::with(&[
        ("m/config.json", br#"{"model_type": "bert"}"#.to_vec()),
        ("m/w.safetensors", weights(&[2])),
    ]);
    folder.add(&["m"]);
    folder.write(&[("m/sub/vocab.txt", "a\n")]);
    let report = folder.sync(&options());
    assert!(report.applied);
    assert_eq!(
        lines(&report.difference),
        ["m version: 1.0.0 -> 1.0.1", "m +m/sub/vocab.txt"]
    );
    folder.rename("m/sub/vocab.txt", "m/words.txt");
    let report = folder.sync(&options());
    assert!(report.needs_force);
    assert_eq!(
        lines(&report.difference),
        [
            "m version: 1.0.1 -> 1.0.2",
            "m +m/words.txt",
            "m -m/sub/vocab.txt",
            "drop model m m/sub/vocab.txt"
        ]
    );
    assert!(folder.sync(&options().force(true)).applied);
    assert_eq!(folder.findings(), Vec::<String>::new());
    fs::remove_dir_all(folder.path("m")).unwrap();
    assert_eq!(lines(&folder.sync(&options()).difference), ["drop model m"]);
}

#[test]
fn a_moved_model_keeps_its_history_under_its_id() {
    let folder = Folder::registered();
    folder.rename("models/agent.md", "models/pomdp/agent.md");
    assert!(folder.sync(&options()).needs_force);
    let same = AddOptions::default().id("agent");
    let report = folder.add_with(&["models/pomdp/agent.md"], &same);
    assert_eq!(report.registered[0].version.as_deref(), Some("1.0.1"));
    assert_eq!(folder.findings(), CLEAN);
    let project = folder.project();
    let agent = &project.registry().entries["agent"];
    assert_eq!(
        (&*agent.path, agent.versions.len()),
        ("models/pomdp/agent.md", 2)
    );
    // A new file in its old place is another model.
    folder.write(&[("models/agent.md", gnn("Another", ""))]);
    assert_eq!(
        folder.add(&["models/agent.md"]).registered[0].id,
        "models/agent"
    );
}

#[test]
fn missing_data_and_code_are_dropped_from_a_model() {
    let folder = Folder::with(&[
        ("m.gguf", gguf(&[])),
        ("c.py", b"A = 1\n".to_vec()),
        ("d.csv", b"1\n".to_vec()),
    ]);
    let with = AddOptions::default()
        .code(vec![folder.path("c.py")])
        .data(vec![folder.path("d.csv")]);
    folder.add_with(&["m.gguf"], &with);
    folder.delete("c.py");
    folder.delete("d.csv");
    let report = folder.sync(&options().force(true));
    assert_eq!(
        lines(&report.difference),
        [
            "m version: 1.0.0 -> 1.0.1",
            "m data: d.csv -> ",
            "m code: c.py -> ",
            "m -c.py",
            "m -d.csv",
            "drop model m c.py d.csv"
        ]
    );
    assert_eq!(folder.findings(), Vec::<String>::new());
}

#[test]
fn failures_leave_the_entry_and_the_rest_is_synced() {
    let folder = Folder::with(&[
        ("m.md", gnn("M", "## ModelVersion\n2.0\n")),
        ("d.csv", "1\n".to_owned()),
        ("sir.py", SIR.to_owned()),
        ("t.py", TARGET.to_owned()),
        ("data/observed.csv", "1\n".to_owned()),
    ]);
    let data = AddOptions::default().data(vec![folder.path("d.csv")]);
    folder.add_with(&["m.md"], &data);
    folder.add(&["sir.py", "t.py"]);
    let before = folder.project().registry().entries["m"].clone();
    // A lower version with missing data, code that does not parse, and an ordinary change.
    folder.write(&[
        ("m.md", gnn("M", "## ModelVersion\n1.0\n").as_str()),
        ("sir.py", "def f(:\n"),
    ]);
    folder.delete("d.csv");
    folder.edit("data/observed.csv", "1", "2");
    let report = folder.sync(&options());
    assert_eq!(
        lines(&report.difference),
        ["incidence_target ~data/observed.csv"]
    );
    assert!(report.applied && !report.needs_force);
    let failed = failures(&report.failed);
    let paths: Vec<&str> = failed.iter().map(|(path, _)| *path).collect();
    assert_eq!(paths, ["m.md", "sir.py"]);
    assert!(
        failed[0].1.contains("below the highest, 2.0:"),
        "{failed:?}"
    );
    assert!(failed[1].1.contains("line 1"), "{failed:?}");
    assert_eq!(folder.project().registry().entries["m"], before);
}

#[test]
fn new_declarations_in_the_code_are_synced() {
    let folder = Folder::with(&[
        ("m.py", "A = 1\n"),
        (
            "t.py",
            "@target(model_output='x', data='a.csv')\ndef f():\n    pass\n",
        ),
        ("a.csv", "1\n"),
        ("b.csv", "2\n"),
    ]);
    folder.add(&["m.py", "t.py"]);
    folder.write(&[("m.py", "class M(BaseModel):\n    outputs = ['x']\n")]);
    folder.edit("t.py", "'a.csv'", "['a.csv', 'b.csv']");
    let report = folder.sync(&options());
    assert_eq!(
        lines(&report.difference),
        [
            "m version: 1.0.0 -> 1.0.1",
            "m name: m -> M",
            "m entrypoint:  -> m:M",
            "m outputs:  -> x",
            "m ~m.py",
            "f data: a.csv -> a.csv, b.csv",
            "f ~t.py",
            "f +b.csv",
        ]
    );
    assert_eq!(folder.findings(), Vec::<String>::new());
}

#[test]
fn an_entrypoint_in_another_file_is_left_alone() {
    let folder = Folder::with(&[
        ("m.py", "class Other(BaseModel):\n    outputs = ['x']\n"),
        (
            "run.py",
            "from m import Other as Run\ndef check():\n    pass\n",
        ),
        ("t.py", "@target(model_output='x')\ndef f():\n    pass\n"),
    ]);
    let of = |text: &str| AddOptions::default().entrypoint(text);
    folder.add_with(&["m.py"], &of("run:Run").outputs(["x"]));
    folder.add_with(&["t.py"], &of("run:check").model_output("x"));
    folder.write(&[("m.py", "# Changed\n"), ("t.py", "# Changed\n")]);
    let report = folder.sync(&options());
    assert!(report.failed.is_empty(), "{:?}", report.failed);
    assert_eq!(
        lines(&report.difference),
        ["m version: 1.0.0 -> 1.0.1", "m ~m.py", "check ~t.py"]
    );
    assert_eq!(folder.findings(), Vec::<String>::new());
}

#[test]
fn a_plan_is_applied_unless_the_registry_has_changed() {
    let folder = Folder::registered();
    folder.delete("models/agent.md");
    folder.write(&[("data/observed.csv", "day,cases\n1,4\n")]);
    let plan = folder.project().plan_resync(&options()).unwrap();
    assert!(plan.report.needs_force && plan.report.dry_run && !plan.report.applied);
    // Changes after the plan are not part of it.
    folder.edit("models/sir.py", "class SIR", "class SEIR");
    let mut project = folder.project();
    project.apply(&plan, &CancelToken::new()).unwrap();
    let registry = project.registry();
    assert!(!registry.entries.contains_key("agent"));
    assert_eq!(registry.entries["sir"].current, "1.0.0");
    assert_eq!(folder.project().registry(), registry);
    let error = project.apply(&plan, &CancelToken::new()).unwrap_err();
    assert_eq!(error.code(), "REGISTRY_ERROR");
    assert!(error.to_string().contains("since the plan"), "{error}");
}
