//! Checks for what is stale or broken, with remedies; nothing is changed, and no code is run.

use std::fs::{self, OpenOptions};
use std::time::{Duration, SystemTime};

use modelrack::CancelToken;
use modelrack::project::{AddOptions, Finding, Remedy, ResyncOptions, Severity, StatusOptions};

use super::folder::{AGENT, Folder, SIR, TARGET, failures, gguf, gnn, ids, weights};
use crate::support::platform::link_folder;

/// The findings of a project without errors.
const UNUSED: &str = "note unused_output model sir: No target uses output 'prevalence'";

const SYNC: &str = "Resync";
const BRING_BACK: &str = "RestoreOrDrop";

fn shown(finding: &Finding) -> String {
    let entity = finding.entity.as_ref();
    let entity = entity.map_or("-".to_owned(), ToString::to_string);
    let (severity, category) = (finding.severity.as_str(), finding.category.as_str());
    let remedy = finding.remedy.as_ref();
    let remedy = remedy.map_or(String::new(), |remedy| format!(" | {remedy:?}"));
    format!(
        "{severity} {category} {entity}: {}{remedy}",
        finding.message
    )
}

#[track_caller]
fn check(folder: &Folder, what: &str, expected: &[String]) {
    let before = folder.snapshot();
    let report = folder.status();
    let found: Vec<String> = report.findings.iter().map(shown).collect();
    assert_eq!(found, expected, "{what}");
    assert!(folder.snapshot() == before, "{what}: something was changed");
}

#[test]
fn every_finding_has_a_remedy() {
    type Change = fn(&Folder);
    let cases: Vec<(&str, Change, Vec<String>)> = vec![
        ("nothing", |_| {}, vec![]),
        (
            "a model is gone",
            |folder| folder.delete("models/agent.md"),
            vec![format!(
                "error missing_file model agent: Model file not found: models/agent.md | {BRING_BACK}"
            )],
        ),
        (
            "a folder stands where a file was",
            |folder| {
                folder.delete("models/agent.md");
                folder.write(&[("models/agent.md/x", "x")]);
            },
            vec![
                format!("error missing_file model agent: Model file not found: models/agent.md | {BRING_BACK}"),
                "warning untracked model agent: Not registered with its folder: models/agent.md/x | Resync".into(),
            ],
        ),
        (
            "data is gone",
            |folder| folder.delete("data/observed.csv"),
            vec![format!(
                "error missing_file target incidence_target: Data file not found: data/observed.csv | {BRING_BACK}"
            )],
        ),
        (
            "data was edited",
            |folder| folder.write(&[("data/observed.csv", "day,cases\n1,4\n")]),
            vec![format!(
                "warning stale target incidence_target: Data changed since it was registered: data/observed.csv | {SYNC}"
            )],
        ),
        (
            "a model was edited",
            |folder| folder.write(&[("models/tiny.safetensors", weights(&[8]))]),
            vec![format!(
                "warning stale model tiny: Model changed since it was registered: models/tiny.safetensors | {SYNC}"
            )],
        ),
        (
            "the function was renamed",
            |folder| folder.edit("targets/incidence.py", "def incidence_target", "def incidence_mean_target"),
            vec![
                format!("error missing_symbol target incidence_target: Function 'incidence_target' not found in targets/incidence.py | {SYNC}"),
                format!("warning stale target incidence_target: Target changed since it was registered: targets/incidence.py | {SYNC}"),
            ],
        ),
        (
            "the class was renamed",
            |folder| folder.edit("models/sir.py", "class SIR", "class SEIR"),
            vec![
                format!("error missing_symbol model sir: Class 'SIR' not found in models/sir.py | {SYNC}"),
                format!("warning stale model sir: Model changed since it was registered: models/sir.py | {SYNC}"),
            ],
        ),
        (
            "the code has another output",
            |folder| folder.edit("models/sir.py", "\"prevalence\"", "\"deaths\""),
            vec![
                format!("warning stale model sir: Model changed since it was registered: models/sir.py | {SYNC}"),
                format!("warning stale model sir: Registered outputs are 'incidence', 'prevalence', but the code has 'incidence', 'deaths' | {SYNC}"),
            ],
        ),
        (
            "the target looks at another output",
            |folder| folder.edit("targets/incidence.py", "\"incidence\"", "\"prevalence\""),
            vec![
                format!("warning stale target incidence_target: Registered for model output 'incidence', but the code has 'prevalence' | {SYNC}"),
                format!("warning stale target incidence_target: Target changed since it was registered: targets/incidence.py | {SYNC}"),
            ],
        ),
        (
            "the code is no Python any more",
            |folder| folder.write(&[("models/sir.py", "class SIR(:\n")]),
            vec![
                "error syntax_error model sir: Cannot parse line 1: expected an expression or a ')' (models/sir.py) | CorrectFile { path: RelPath(\"models/sir.py\") }".into(),
                format!("warning stale model sir: Model changed since it was registered: models/sir.py | {SYNC}"),
            ],
        ),
        (
            "the module is gone",
            |folder| folder.delete("targets/incidence.py"),
            vec![
                format!("error missing_file target incidence_target: Target file not found: targets/incidence.py | {BRING_BACK}"),
                "error missing_module target incidence_target: Module not found for entrypoint 'targets.incidence:incidence_target' | CreateModule { candidates: [RelPath(\"targets/incidence.py\"), RelPath(\"targets/incidence/__init__.py\"), RelPath(\"src/targets/incidence.py\"), RelPath(\"src/targets/incidence/__init__.py\")] }".into(),
            ],
        ),
        (
            "a second target stands in the file of the first",
            |folder| {
                let more = "\n@target(model_output='prevalence')\ndef second():\n    pass\n";
                folder.write(&[("targets/incidence.py", format!("{TARGET}{more}"))]);
            },
            vec![
                "warning untracked -: 'targets/incidence.py' has the target 'second', which is not registered | Add { path: \"targets/incidence.py\" }".into(),
                format!("warning stale target incidence_target: Target changed since it was registered: targets/incidence.py | {SYNC}"),
            ],
        ),
        (
            "a model and a target lie beside those that are registered",
            |folder| folder.write(&[
                ("models/new.md", gnn("New", "").as_str()),
                ("targets/new.py", "@target(model_output='incidence')\ndef f():\n    pass\n"),
                ("models/README.md", "# Models\n"),
                ("targets/plain.py", "A = 1\n"),
            ]),
            vec![
                "warning untracked -: 'models/new.md' is not registered, and looks like a model or target | Add { path: \"models/new.md\" }".into(),
                "warning untracked -: 'targets/new.py' is not registered, and looks like a model or target | Add { path: \"targets/new.py\" }".into(),
            ],
        ),
    ];
    for (what, change, expected) in cases {
        let folder = Folder::registered();
        change(&folder);
        let mut expected = expected;
        expected.push(UNUSED.to_owned());
        check(&folder, what, &expected);
    }
}

#[test]
fn entries_written_by_hand_are_checked() {
    let folder = Folder::with(&[
        ("a.py", SIR.as_bytes()),
        ("b.py", SIR.as_bytes()),
        ("c.py", b"class M(BaseModel):\n    pass\n"),
        ("t.py", TARGET.as_bytes()),
    ]);
    let entrypoint = |text: &str| AddOptions::default().entrypoint(text);
    folder.add_with(&["a.py"], &entrypoint("models/a:SIR"));
    folder.add_with(&["b.py"], &entrypoint("elsewhere.models:SIR"));
    folder.add(&["c.py"]);
    let bad = AddOptions::default().model_output("BAD_OUTPUT_NAME");
    folder.add_with(&["t.py"], &bad);
    check(
        &folder,
        "what is wrong from the start",
        &[
            "error invalid_entrypoint model a: Invalid entrypoint 'models/a:SIR' | CorrectEntrypoint".into(),
            "error missing_module model b: Module not found for entrypoint 'elsewhere.models:SIR' | CreateModule { candidates: [RelPath(\"elsewhere/models.py\"), RelPath(\"elsewhere/models/__init__.py\"), RelPath(\"src/elsewhere/models.py\"), RelPath(\"src/elsewhere/models/__init__.py\")] }".into(),
            "error output_pairing target incidence_target: Target expects model output 'BAD_OUTPUT_NAME' but no model provides it | ProvideOutput { output: \"BAD_OUTPUT_NAME\", available: [\"incidence\", \"prevalence\"] }".into(),
            "warning empty_outputs model c: Model has an entrypoint but no outputs | StateOutputs { path: \"c.py\" }".into(),
            format!("warning stale target incidence_target: Registered for model output 'BAD_OUTPUT_NAME', but the code has 'incidence' | {SYNC}"),
            "note unused_output model a: No target uses output 'incidence'".into(),
            "note unused_output model a: No target uses output 'prevalence'".into(),
            "note unused_output model b: No target uses output 'incidence'".into(),
            "note unused_output model b: No target uses output 'prevalence'".into(),
        ],
    );
    let report = folder.status();
    let notes = report
        .findings
        .iter()
        .filter(|f| f.severity == Severity::Note);
    assert_eq!((report.errors, report.warnings, notes.count()), (3, 2, 4));
    assert_eq!((report.models, report.targets, report.files), (3, 1, 4));
}

#[test]
fn new_files_in_the_folder_of_a_model_are_found() {
    let config = r#"{"model_type": "bert"}"#;
    let folder = Folder::with(&[
        ("m/config.json", config.as_bytes()),
        ("m/w.safetensors", &weights(&[2])),
        ("m/code.py", b"A = 1\n"),
        ("shared/util.py", b"B = 1\n"),
    ]);
    let code = AddOptions::default().code(vec![folder.path("shared")]);
    folder.add_with(&["m"], &code);
    check(&folder, "as it is", &[]);
    folder.write(&[
        ("m/new/x.bin", "x"),
        ("m/w.safetensors", ""),
        ("shared/util.py", "C = 2\n"),
    ]);
    folder.delete("m/code.py");
    check(
        &folder,
        "changed",
        &[
            format!("error missing_file model m: Model file not found: m/code.py | {BRING_BACK}"),
            format!(
                "warning stale model m: Code changed since it was registered: shared/util.py | {SYNC}"
            ),
            format!(
                "warning stale model m: Model changed since it was registered: m/w.safetensors | {SYNC}"
            ),
            "warning untracked model m: Not registered with its folder: m/new/x.bin | Resync"
                .into(),
        ],
    );
}

#[test]
fn a_link_in_the_folder_of_a_model_is_reported() {
    let folder = Folder::with(&[("m/a.bin", "x"), ("other/b", "x")]);
    folder.add(&["m"]);
    if !link_folder(&folder.path("other"), &folder.path("m/link")) {
        return;
    }
    check(
        &folder,
        "a link",
        &["warning untracked model m: Cannot be registered with its folder: m/link | ReplaceFiles".into()],
    );
    // It prevents the folder from being registered.
    let report = folder.sync(&ResyncOptions::default());
    assert!(failures(&report.failed)[0].1.contains("'m/link' is a link"));
}

#[test]
fn many_files_are_one_finding_that_names_the_first_few() {
    let names: Vec<String> = (0..8).map(|number| format!("m/{number}.bin")).collect();
    let files: Vec<(&str, &str)> = names.iter().map(|name| (&**name, "x")).collect();
    let folder = Folder::with(&files);
    folder.add(&["m"]);
    for name in &names {
        folder.write(&[(name, "longer")]);
    }
    check(
        &folder,
        "all changed",
        &[format!(
            "warning stale model m: Model changed since it was registered: m/0.bin, m/1.bin, m/2.bin, m/3.bin, m/4.bin and 3 more | {SYNC}"
        )],
    );
}

#[test]
fn only_files_that_may_have_changed_are_hashed() {
    let folder = Folder::registered();
    let hashed = |deep: bool| {
        let options = StatusOptions::default().deep(deep);
        let report = folder.project().status(&options).unwrap();
        let stale = report
            .findings
            .iter()
            .filter(|finding| finding.category.as_str() == "stale");
        (report.files_hashed, stale.count())
    };
    assert_eq!((hashed(false), hashed(true)), ((0, 0), (5, 0)));
    // Touched, but unchanged.
    let path = folder.path("models/agent.md");
    let touch = |time| {
        let file = OpenOptions::new().write(true).open(&path).unwrap();
        file.set_modified(time).unwrap();
    };
    touch(SystemTime::now());
    assert_eq!(hashed(false), (1, 0));
    // Changed with the same size and a newer time: found.
    let mut bytes = AGENT.as_bytes().to_vec();
    bytes[10] ^= 1;
    fs::write(&path, &bytes).unwrap();
    assert_eq!(hashed(false), (1, 1));
    // Changed with the same size and an old time: found only by hashing.
    touch(SystemTime::now() - Duration::from_secs(3600));
    assert_eq!((hashed(false), hashed(true)), ((0, 0), (5, 1)));
    // Changed in size: found without reading.
    fs::write(&path, "short").unwrap();
    assert_eq!(hashed(false), (0, 1));
}

#[test]
fn a_file_of_several_models_is_hashed_once() {
    let folder = Folder::with(&[
        ("a.gguf", gguf(&[])),
        ("b.gguf", gguf(&[])),
        ("c.csv", vec![1]),
    ]);
    let data = AddOptions::default().data(vec![folder.path("c.csv")]);
    folder.add_with(&["a.gguf", "b.gguf"], &data);
    let deep = StatusOptions::default().deep(true);
    let report = folder.project().status(&deep).unwrap();
    assert_eq!((report.files, report.files_hashed), (3, 3));
}

#[test]
fn code_is_never_run() {
    let folder = Folder::new();
    let evil = format!(
        "import os, pathlib\npathlib.Path({:?}).write_text('ran')\nos.system('echo ran > {{}}')\n{SIR}",
        folder.path("ran")
    );
    folder.write(&[
        ("sir.py", evil.as_str()),
        ("sitecustomize.py", "raise SystemExit(1)\n"),
    ]);
    folder.add(&["sir.py"]);
    folder.status();
    folder.sync(&ResyncOptions::default());
    assert!(!folder.path("ran").exists());
    assert_eq!(folder.findings(), Vec::<String>::new());
}

#[test]
fn only_symbols_that_are_surely_missing_are_reported() {
    for (text, is_missing) in [
        ("from other import SIR\n", false),
        ("if X:\n    class SIR: pass\n", false),
        (
            "try:\n    from a import SIR\nexcept ImportError:\n    SIR = None\n",
            false,
        ),
        ("@wrap\nasync def SIR(): pass\n", false),
        ("from a import *\n", false),
        ("def f():\n    class SIR: pass\n", true),
        ("class Other:\n    SIR = 1\n", true),
        ("# class SIR\n", true),
    ] {
        let folder = Folder::with(&[("sir.py", SIR)]);
        folder.add(&["sir.py"]);
        folder.write(&[("sir.py", text)]);
        let findings = folder.findings();
        let said = findings.iter().any(|line| line.contains("'SIR' not found"));
        assert_eq!(said, is_missing, "{text}: {findings:?}");
    }
}

#[test]
fn a_check_can_be_cancelled() {
    let folder = Folder::registered();
    let cancel = CancelToken::new();
    cancel.cancel();
    let options = StatusOptions::default().cancel(cancel);
    let error = folder.project().status(&options).unwrap_err();
    assert_eq!(error.code(), "CANCELLED");
}

#[test]
fn an_empty_project_has_no_findings() {
    let folder = Folder::with(&[("m.gguf", gguf(&[]))]);
    check(&folder, "nothing", &[]);
    assert!(!folder.path(".registry").exists());
}

#[test]
fn what_looks_like_a_model_and_cannot_be_registered_is_told_with_its_line() {
    let folder = Folder::with(&[("models/a.md", gnn("A", ""))]);
    let broken = gnn("B", "").replace("o[2]", "o[2");
    folder.write(&[
        ("models/b.md", broken.as_str()),
        (
            "models/c.md",
            "## StateSpaceBlock\ns[1]\n## GNNSection\nC\n",
        ),
        ("models/later/d.md", "## ModelName\nD\n## GNNSection\nD\n"),
        (
            "models/README.md",
            "# Models\n\n## ModelName\nis a section of GNN.\n",
        ),
    ]);
    let report = folder.add(&["models"]);
    assert_eq!(ids(&report), ["a"]);
    let expected = [
        "line 6: the brackets of 'o' are not closed (models/b.md)",
        "the section 'ModelName' is missing (models/c.md)",
        "the sections 'StateSpaceBlock' and 'Connections' are missing (models/later/d.md)",
    ];
    let failed = failures(&report.failed);
    let told: Vec<&str> = failed.iter().map(|(_, fault)| fault.as_str()).collect();
    assert_eq!((report.processed, told), (4, expected.to_vec()));
    let findings = folder.findings();
    let expected = expected
        .map(|fault| format!("warning untracked -: Not registered, and cannot be: {fault}"));
    assert_eq!(findings, expected);
    let remedies = folder.status().findings.into_iter();
    let remedies: Vec<_> = remedies.filter_map(|finding| finding.remedy).collect();
    assert!(
        matches!(&remedies[0], Remedy::CorrectFile { path } if path.as_str() == "models/b.md"),
        "{remedies:?}"
    );
}
