use std::fmt::Write as _;

use serde_json::json;

use super::super::description::Extent;
use super::super::tests::ModelFolder;
use super::*;
use crate::text::{MAX_DESCRIPTION_CHARS, MAX_NAME_CHARS};

const EXAMPLE: &str = include_str!("../../../../../examples/project/models/actinf_pomdp_agent.md");

/// The smallest model.
const LEAST: &str = "## ModelName\nTiny\n## StateSpaceBlock\ns[1]\n";

#[test]
fn the_facts_of_the_example_are_read() {
    let folder = ModelFolder::new();
    for text in [
        EXAMPLE.to_owned(),
        EXAMPLE.replace('\n', "\r\n"),
        format!("\u{feff}{EXAMPLE}"),
    ] {
        let model = folder.model(&FORMAT, "models/agent.md", text.as_bytes());
        assert_eq!(model.name.as_deref(), Some("Active Inference POMDP Agent"));
        assert_eq!(model.version.as_deref(), Some("1.0.0"));
        assert_eq!(model.model_type.as_deref(), Some("other"));
        assert_eq!(model.tags, ["active inference", "pomdp", "discrete"]);
        assert_eq!(model.extent, Extent::File);
        let about = model.description.unwrap();
        assert!(
            about.starts_with("An agent in a world of three places"),
            "{about}"
        );
        assert!(about.ends_with("least expected free energy."), "{about}");
        assert!(!about.contains(['\n', '\r']), "{about}");
        let expected = json!({
            "variables": 13,
            "connections": 11,
            "gnn_section": "ActInfPOMDP",
            "gnn_version": "GNN v1",
            "license": "CC0-1.0",
            "model_parameters": {"num_hidden_states": 3, "num_obs": 3, "num_actions": 3},
        });
        assert_eq!(Value::from(model.metadata), expected);
    }
}

#[test]
fn a_model_needs_a_name_and_a_state_space_or_connections() {
    let folder = ModelFolder::new();
    let is_model = |text: &str| {
        folder
            .read(&FORMAT, "a.md", text.as_bytes())
            .unwrap()
            .is_some()
    };
    assert!(is_model(LEAST));
    assert!(is_model("##modelname:\nTiny\n## Connections:\n"));
    assert!(!is_model("## ModelName\nTiny\n"));
    assert!(!is_model("## StateSpaceBlock\ns[1]\n"));
    assert!(!is_model(
        "# About\n```gnn\n## ModelName\n## Connections\n```\n"
    ));
    assert!(
        folder
            .read(&FORMAT, "a.txt", LEAST.as_bytes())
            .unwrap()
            .is_none()
    );
    assert!(
        folder
            .read(&FORMAT, "a.GNN", LEAST.as_bytes())
            .unwrap()
            .is_some()
    );
}

#[test]
fn a_state_space_without_variables_is_refused() {
    let folder = ModelFolder::new();
    let text = "## ModelName\nTiny\n## StateSpaceBlock\n# s[1]\n```\ns[1]\n```\n";
    assert_eq!(
        folder.refusal(&FORMAT, "models/a.md", text.as_bytes()),
        "the section 'StateSpaceBlock' declares no variable, such as 's[3,1]' (models/a.md)"
    );
}

#[test]
fn only_models_are_refused_for_their_encoding() {
    let folder = ModelFolder::new();
    let latin = [LEAST.as_bytes(), b"\xe9"].concat();
    let refusal = folder.refusal(&FORMAT, "c.md", &latin);
    assert_eq!(refusal, "the file is not UTF-8 text (c.md): line 5");
    assert!(
        folder
            .read(&FORMAT, "d.md", b"# caf\xe9")
            .unwrap()
            .is_none()
    );
}

#[test]
fn facts_are_read_from_some_sections_only() {
    let folder = ModelFolder::new();
    let text = "# GNN Version: 9\n# Version: 2.1\n- **Author:** the first\n\n## ModelName\n\n# no name\nTiny\n\
        ## ModelAnnotation\nTags: [a, b]\nAuthor: the second\nDate:\n\
        ## Connections\nlicense: D>s\n## Footer\nDate: 2024-05-01\n## Signature\nLicence: MIT\n";
    let model = folder.model(&FORMAT, "a.md", text.as_bytes());
    assert_eq!(model.name.as_deref(), Some("Tiny"));
    assert_eq!(model.version.as_deref(), Some("2.1"));
    assert_eq!(model.tags, ["a", "b"]);
    let expected = json!({
        "connections": 0, "author": "the first", "date": "2024-05-01", "license": "MIT",
    });
    assert_eq!(Value::from(model.metadata), expected);
    let text = format!("Version: 1\n{LEAST}## Version\nVersion: 3\n");
    let model = folder.model(&FORMAT, "a.md", text.as_bytes());
    assert_eq!(model.version.as_deref(), Some("3"));
}

#[test]
fn long_texts_are_cut() {
    let folder = ModelFolder::new();
    let long = "π".repeat(5_000);
    let text = format!("{LEAST}## ModelAnnotation\n{long}\n").replace("Tiny", &long);
    let model = folder.model(&FORMAT, "a.md", text.as_bytes());
    assert_eq!(model.name.unwrap().chars().count(), MAX_NAME_CHARS);
    assert_eq!(
        model.description.unwrap().chars().count(),
        MAX_DESCRIPTION_CHARS
    );
}

#[test]
fn damaged_files_cause_no_panic() {
    let text = "# Tags: π\n## ModelName:\nT\n```\n## B\n```\n## StateSpaceBlock\nπ[π[3,'], s[1\n## Connections\n(a,π)->c-d:x\n";
    ModelFolder::new().damage(&FORMAT, "a.md", text.as_bytes());
}

#[test]
fn models_may_be_of_any_size() {
    let folder = ModelFolder::new();
    let mut text = LEAST.to_owned();
    while text.len() < 33 << 20 {
        text.push_str("# 0.25, 0.25, 0.25, 0.25\n");
    }
    let long = "x".repeat(3 * MAX_LINE_BYTES);
    write!(
        text,
        "o[2]\n## InitialParameterization\n{long}\n## Connections\ns-o\n"
    )
    .unwrap();
    let model = folder.model(&FORMAT, "a.md", text.as_bytes());
    assert_eq!(
        (&model.metadata["variables"], &model.metadata["connections"]),
        (&2.into(), &1.into())
    );
    // What is counted has to be in lines that can be kept.
    writeln!(text, "{long}").unwrap();
    let lines = text.lines().count();
    assert_eq!(
        folder.refusal(&FORMAT, "a.md", text.as_bytes()),
        format!("line {lines}: it has more than 1048576 bytes (a.md)")
    );
}

#[test]
fn more_variables_than_can_be_kept_are_not_counted() {
    let mut text = LEAST.to_owned();
    for number in 0..=MAX_VARIABLES {
        writeln!(text, "a{number}[1]").unwrap();
    }
    let model = ModelFolder::new().model(&FORMAT, "a.md", text.as_bytes());
    assert_eq!(model.metadata.get("variables"), None);
}

#[test]
fn what_is_certainly_wrong_is_refused_with_its_lines() {
    let folder = ModelFolder::new();
    for (text, expected) in [
        (
            "## ModelName\nT\n## StateSpaceBlock\nA[2,2]\nB[2,2 # 2]\n## Connections\nA>\n(A,B->A\nA-B\n",
            "line 5: the brackets of 'B' are not closed; line 7: a connection leads nowhere; line 8: a group is not closed",
        ),
        (
            "## GNNSection\nS\n## StateSpaceBlock\nA[2]\n",
            "the section 'ModelName' is missing",
        ),
        (
            "## StateSpaceBlock\nA[2]\n## Connections\nA-A\n",
            "the section 'ModelName' is missing",
        ),
        (
            "## GNNVersionAndFlags\nGNN v1\n## ModelName\nT\n",
            "the sections 'StateSpaceBlock' and 'Connections' are missing",
        ),
        (
            "## ModelName\nT\n## StateSpaceBlock\nA[\n",
            "line 4: the brackets of 'A' are not closed",
        ),
    ] {
        let refusal = folder.refusal(&FORMAT, "m/a.md", text.as_bytes());
        assert_eq!(refusal, format!("{expected} (m/a.md)"));
    }
    let many = format!("{LEAST}{}", "A[1\n".repeat(9));
    let refusal = folder.refusal(&FORMAT, "a.md", many.as_bytes());
    assert_eq!(refusal.matches("line ").count(), MAX_FAULTS, "{refusal}");
}
