//! Registering: what becomes a model or target, with which id and description.

use std::sync::Arc;

use modelrack::project::formats::{Description, ModelFile, ModelFormat};
use modelrack::project::{AddOptions, ItemKind, Project, ProjectOptions};
use serde_json::json;

use super::folder::{
    AGENT, Folder, SIR, TARGET, failures, files_of, gguf, ids, weights, weights_saying,
};
use crate::support::chain;

fn options() -> AddOptions {
    AddOptions::default()
}

#[test]
fn an_id_is_the_file_stem_or_the_path_if_the_stem_is_taken() {
    let folder = Folder::with(&[
        ("a/x.v2.gguf", gguf(&[])),
        ("b/x.v2.gguf", gguf(&[])),
        ("b/y.safetensors", weights(&[1])),
        (".hidden.gguf", gguf(&[])),
        ("named/z.gguf", gguf(&[])),
    ]);
    assert_eq!(
        ids(&folder.add(&["a", "b", ".hidden.gguf"])),
        [".hidden", "b/x.v2", "x.v2", "y"]
    );
    // Renaming the folders does not change the ids.
    assert_eq!(folder.add(&["."]).unchanged.len(), 4);
    let named = folder.add_with(&["named/z.gguf"], &options().id("g/mine"));
    assert_eq!(ids(&named), ["g/mine"]);
    assert_eq!(named.registered[0].previous.as_deref(), None);
}

#[test]
fn the_id_of_a_folder_keeps_what_looks_like_an_extension() {
    let config = r#"{"model_type": "llama"}"#;
    let folder = Folder::with(&[
        ("p/llama-3.1/config.json", config),
        ("p/qwen2.5/config.json", config),
        ("p/other/qwen2.5/config.json", config),
    ]);
    assert_eq!(
        ids(&folder.add(&["p"])),
        ["llama-3.1", "p/qwen2.5", "qwen2.5"]
    );
    // The project's folder itself as a model.
    let mut project = Project::open(folder.path("p/llama-3.1"), &Default::default()).unwrap();
    let report = project
        .add(&[folder.path("p/llama-3.1")], &options())
        .unwrap();
    assert_eq!(ids(&report), ["llama-3.1"]);
    assert_eq!(project.registry().entries["llama-3.1"].path, ".");
    assert_eq!(project.registry().entries["llama-3.1"].versions.len(), 1);
    let status = project
        .status(&modelrack::project::StatusOptions::default())
        .unwrap();
    assert_eq!(status.findings, []);
}

#[test]
fn metadata_from_the_files_is_registered() {
    let folder = Folder::with(&[
        ("agent.md", AGENT.as_bytes()),
        ("README.md", b"# A project\n\nWith models.\n"),
        ("notes.txt", b"x"),
        (
            "tiny.gguf",
            &gguf(&[("general.architecture", "llama"), ("general.name", "Tiny")]),
        ),
        (
            "w.safetensors",
            &weights_saying(
                &[4, 2],
                json!({"title": "W", "version": "2.5", "tags": "a, b"}),
            ),
        ),
    ]);
    let report = folder.add(&["."]);
    assert_eq!(ids(&report), ["agent", "tiny", "w"]);
    assert_eq!((report.processed, report.failed.len()), (3, 0));
    let project = folder.project();
    let of = |id: &str| project.registry().current(id).unwrap();
    let (agent, version) = of("agent");
    assert_eq!(agent.name, "Active Inference POMDP Agent");
    assert!(
        agent
            .description
            .starts_with("An agent in a world of three places")
    );
    assert_eq!(agent.format.as_deref(), Some("gnn"));
    assert_eq!(
        agent.tags.iter().collect::<Vec<_>>(),
        ["active inference", "discrete", "pomdp"]
    );
    assert_eq!(version.metadata["variables"], 13);
    assert_eq!(version.metadata["connections"], 11);
    assert_eq!(version.metadata["license"], "CC0-1.0");
    let (tiny, version) = of("tiny");
    assert_eq!((&*tiny.name, tiny.current.as_str()), ("Tiny", "1.0.0"));
    assert_eq!(tiny.model_type.as_deref(), Some("text-generation"));
    assert_eq!(version.metadata["architecture"], "llama");
    assert_eq!(version.metadata["parameters"], 32);
    let (w, version) = of("w");
    assert_eq!((&*w.name, w.current.as_str()), ("W", "2.5"));
    assert_eq!(w.tags.iter().collect::<Vec<_>>(), ["a", "b"]);
    assert_eq!(version.metadata["parameters"], 8);
    assert_eq!(version.metadata["dtypes"], json!(["F32"]));
}

#[test]
fn any_file_named_explicitly_is_a_model() {
    let folder = Folder::with(&[("README.md", "# Weights\n"), ("d/raw.bin", "x")]);
    let report = folder.add_with(
        &["README.md"],
        &options()
            .name("Read me")
            .description("Words")
            .model_type("text")
            .tags(["b", "a"]),
    );
    assert_eq!(ids(&report), ["README"]);
    let project = folder.project();
    let entry = &project.registry().entries["README"];
    assert_eq!((&*entry.name, &*entry.description), ("Read me", "Words"));
    assert_eq!(entry.model_type.as_deref(), Some("text"));
    assert_eq!(entry.tags.iter().collect::<Vec<_>>(), ["a", "b"]);
    // A folder without any known format is one model.
    assert_eq!(ids(&folder.add(&["d"])), ["d"]);
}

#[test]
fn a_folder_is_a_model_by_its_format_or_with_an_id() {
    let config =
        r#"{"architectures": ["LlamaForCausalLM"], "model_type": "llama", "vocab_size": 32}"#;
    let simulation =
        "BEGIN TIMING\n TDIS6 flow.tdis\nEND TIMING\nBEGIN MODELS\n GWF6 gwf.nam g\nEND MODELS\n";
    let folder = Folder::with(&[
        ("hub/llama/config.json", config.as_bytes()),
        ("hub/llama/model.safetensors", &weights(&[3])),
        ("hub/llama/onnx/model.onnx", b"x"),
        ("flow/mfsim.nam", simulation.as_bytes()),
        ("flow/flow.tdis", b"x"),
        ("flow/gwf.nam", b"x"),
        ("flow/mfsim.lst", b"x"),
        ("flow/gwf.hds", b"x"),
        ("flow/gwf.cbc", b"x"),
        ("set/a.gguf", &gguf(&[])),
        ("set/b.txt", b"x"),
    ]);
    assert_eq!(ids(&folder.add(&["hub", "flow"])), ["flow", "llama"]);
    let report = folder.add_with(&["set"], &options().id("both"));
    assert_eq!(report.registered[0].files, 2);
    let project = folder.project();
    assert_eq!(
        files_of(&project, "llama"),
        [
            "hub/llama/config.json",
            "hub/llama/model.safetensors",
            "hub/llama/onnx/model.onnx"
        ]
    );
    let (llama, version) = project.registry().current("llama").unwrap();
    assert_eq!(llama.format.as_deref(), Some("hub"));
    assert_eq!(version.metadata["vocab_size"], 32);
    assert_eq!(
        files_of(&project, "flow"),
        ["flow/flow.tdis", "flow/gwf.nam", "flow/mfsim.nam"]
    );
    assert_eq!(files_of(&project, "both"), ["set/a.gguf", "set/b.txt"]);
}

#[test]
fn classes_and_functions_in_code_are_registered() {
    let folder = Folder::with(&[
        ("src/models/sir.py", SIR),
        ("src/models/common.py", "RATE = 2\n"),
        (
            "two.py",
            "class A(BaseModel):\n    outputs = ['x']\nclass B(BaseModel):\n    outputs = ['y', 'z']\n",
        ),
        ("targets/incidence.py", TARGET),
        (
            "targets/other.py",
            "def late():\n    return Target(model_output='y', data='nowhere.csv')\n",
        ),
        ("data/observed.csv", "1\n"),
    ]);
    let report = folder.add_with(&["."], &options().target_set("main"));
    assert_eq!(ids(&report), ["A", "B", "sir", "incidence_target", "late"]);
    let kinds: Vec<ItemKind> = report.registered.iter().map(|item| item.kind).collect();
    assert_eq!(kinds[2..4], [ItemKind::Model, ItemKind::Target]);
    let project = folder.project();
    let registry = project.registry();
    let sir = &registry.entries["sir"];
    assert_eq!(sir.entrypoint.as_deref(), Some("models.sir:SIR"));
    assert_eq!(sir.outputs, ["incidence", "prevalence"]);
    assert_eq!(sir.description, "Susceptible, infected, recovered.");
    assert_eq!(sir.name, "SIR");
    assert_eq!(registry.entries["B"].entrypoint.as_deref(), Some("two:B"));
    assert_eq!(registry.entries["B"].outputs, ["y", "z"]);
    let target = &registry.targets["incidence_target"];
    assert_eq!(target.entrypoint, "targets.incidence:incidence_target");
    assert_eq!(target.model_output, "incidence");
    let data: Vec<&str> = target
        .data
        .iter()
        .map(modelrack::manifest::RelPath::as_str)
        .collect();
    assert_eq!(data, ["data/observed.csv"]);
    assert_eq!(target.files.len(), 2);
    assert!(registry.targets["late"].data.is_empty());
    let set: Vec<&String> = registry.target_sets["main"].iter().collect();
    assert_eq!(set, ["incidence_target", "late"]);
}

#[test]
fn an_entrypoint_selects_one_of_several_classes() {
    let folder = Folder::with(&[(
        "two.py",
        "class A(BaseModel):\n    outputs = ['x']\nclass B(BaseModel):\n    pass\n",
    )]);
    folder.add(&["two.py"]);
    let of_b = options().entrypoint("two:B").outputs(["y"]);
    assert_eq!(ids(&folder.add_with(&["two.py"], &of_b)), ["B"]);
    let project = folder.project();
    let outputs = |id: &str| project.registry().entries[id].outputs.clone();
    assert_eq!(
        (outputs("A"), outputs("B")),
        (vec!["x".into()], vec!["y".into()])
    );
}

#[test]
fn model_output_registers_any_function_as_a_target() {
    let folder = Folder::with(&[("t.py", "def f(data):\n    pass\n"), ("d/1.csv", "1")]);
    let of = |entrypoint: Option<&str>| {
        let mut options = options().model_output("y").data([folder.path("d")]);
        options.entrypoint = entrypoint.map(str::to_owned);
        options
    };
    let failed = folder.add_with(&["t.py"], &of(None)).failed;
    assert!(failures(&failed)[0].1.contains("entrypoint"), "{failed:?}");
    let report = folder.add_with(&["t.py"], &of(Some("t:f")));
    assert_eq!(ids(&report), ["f"]);
    let project = folder.project();
    assert!(project.registry().entries.is_empty());
    assert_eq!(project.registry().targets["f"].data[0].as_str(), "d/1.csv");
    let again = folder.add_with(&["t.py"], &of(Some("t:f")));
    assert_eq!(again.unchanged, ["f"]);
    let error = folder.try_add(&["d"], &of(Some("t:f"))).unwrap_err();
    assert!(error.to_string().contains("'d' is not a file"), "{error}");
}

#[test]
fn data_and_code_belong_to_a_model_until_they_are_replaced() {
    let folder = Folder::with(&[
        ("m.gguf", gguf(&[])),
        ("code/a.py", b"A = 1\n".to_vec()),
        ("code/b.py", b"B = 1\n".to_vec()),
        ("data/1.csv", b"1\n".to_vec()),
    ]);
    let with = options()
        .code(vec![folder.path("code")])
        .data(vec![folder.path("data/1.csv")]);
    folder.add_with(&["m.gguf"], &with);
    let all = ["code/a.py", "code/b.py", "data/1.csv", "m.gguf"];
    assert_eq!(files_of(&folder.project(), "m"), all);
    assert_eq!(folder.add(&["m.gguf"]).unchanged, ["m"]);
    let fewer = options().code(vec![folder.path("code/a.py")]);
    let report = folder.add_with(&["m.gguf"], &fewer);
    assert_eq!(report.registered[0].version.as_deref(), Some("1.0.1"));
    assert_eq!(
        files_of(&folder.project(), "m"),
        ["code/a.py", "data/1.csv", "m.gguf"]
    );
    let missing = options().data(vec![folder.path("data/2.csv")]);
    let error = folder.try_add(&["m.gguf"], &missing).unwrap_err();
    assert!(error.to_string().contains("2.csv"), "{}", chain(&error));
}

#[test]
fn custom_formats_are_tried_first() {
    #[derive(Debug)]
    struct Plain;
    impl ModelFormat for Plain {
        fn name(&self) -> &'static str {
            "plain"
        }
        fn read(&self, file: &ModelFile) -> modelrack::Result<Option<Description>> {
            let is_one = file.extension() == "plain" || file.extension() == "gguf";
            Ok(is_one.then(|| {
                let mut description = Description::default();
                description.name = Some(format!("plain {}", file.file_name()));
                description
            }))
        }
    }
    let folder = Folder::with(&[("m/a.plain", "x"), ("m/b.gguf", "no header")]);
    let options_of_project = ProjectOptions::default().formats(vec![Arc::new(Plain)]);
    let mut project = Project::open(folder.root(), &options_of_project).unwrap();
    let report = project.add(&[folder.path("m")], &options()).unwrap();
    assert_eq!(ids(&report), ["a", "b"]);
    assert_eq!(project.registry().entries["b"].name, "plain b.gguf");
    assert_eq!(
        project.registry().entries["b"].format.as_deref(),
        Some("plain")
    );
}

#[test]
fn a_project_is_found_from_any_folder_below_it() {
    let folder = Folder::registered();
    let project = Project::find(folder.path("models"), &Default::default()).unwrap();
    assert_eq!(project.root(), folder.project().root());
    assert_eq!(project.registry().entries.len(), 3);
    // Without a registry in any parent, the folder itself is the project.
    let other = Folder::with(&[("sub/a.gguf", gguf(&[]))]);
    let mut project = Project::find(other.path("sub"), &Default::default()).unwrap();
    project
        .add(&[other.path("sub/a.gguf")], &options())
        .unwrap();
    assert!(other.path("sub/.registry/models.toml").is_file());
}
