//! The client that the Hub's makers publish.

use std::process::Command;

use serde_json::json;

use super::super::server::Rule;
use super::Hub;

/// Checks the Hub, and one below a path, with `huggingface_hub`, the client of the Hub's makers. Needs a Python that has
/// the package, and passes without a check where none is named:
///
/// ```text
/// HUB_CLIENT_PYTHON=… cargo test --test suite -- hub_for_the_real_client --nocapture
/// ```
#[test]
#[allow(
    clippy::disallowed_methods,
    clippy::print_stderr,
    reason = "whoever runs it names the interpreter, and should know if it did not run"
)]
fn hub_for_the_real_client() {
    let Some(python) = std::env::var_os("HUB_CLIENT_PYTHON") else {
        eprintln!("skipped: HUB_CLIENT_PYTHON names no interpreter");
        return;
    };
    let mirror = Hub::start_below("/mirror");
    mirror.redirect_small_files();
    mirror.explain_refusals();
    for hub in [Hub::start(), mirror] {
        furnish(&hub);
        let home = tempfile::tempdir().unwrap();
        let status = Command::new(&python)
            .arg(concat!(
                env!("CARGO_MANIFEST_DIR"),
                "/tests/suite/support/hub/client.py"
            ))
            .env("HF_ENDPOINT", hub.url())
            .env("HF_HOME", home.path())
            .env("HF_HUB_DISABLE_TELEMETRY", "1")
            .env("NO_PROXY", "*")
            .env_remove("HF_TOKEN")
            .status()
            .unwrap();
        assert!(
            status.success(),
            "the client is not content with {}",
            hub.url()
        );
    }
}

/// Makes what the script expects.
fn furnish(hub: &Hub) {
    let repo = hub.repo("openai/whisper-tiny");
    let config = "{\"model_type\": \"whisper\"}\n";
    let weights: Vec<u8> = (0..=250).cycle().take(100_000).collect();
    let first = repo.commit("main", [("config.json", "{}\n")]);
    repo.tag("v1", &first);
    repo.commit(
        "main",
        [("config.json", config), ("onnx/ä b.txt", "hello\n")],
    );
    repo.commit_with("main", [("model.safetensors", weights)]);
    let proposed = repo.commit_with("proposal", [("config.json", "proposed\n")]);
    repo.pull_request(1, &proposed);
    repo.delete_branch("proposal");
    repo.describe(|facts| {
        facts.pipeline_tag = Some("automatic-speech-recognition".to_owned());
        facts.library = Some("transformers".to_owned());
        facts.card = Some(json!({"license": "apache-2.0"}));
        (facts.downloads, facts.likes) = (1000, 10);
    });
    repo.rename_from("openai/whisper-smallest");
    repo.rename_from("whisper");
    let other = |id: &str| {
        let repo = hub.repo(id);
        repo.commit(
            "main",
            [("config.json", config), ("model.safetensors", "weights")],
        );
        repo
    };
    other("openai/whisper-base");
    other("gpt2");
    other("openai/gated").gate("hf_friend");
    other("openai/hidden").make_private("hf_friend");
    other("openai/disabled").disable();
    hub.token("hf_stranger");
    let limited = Rule::path_contains("search=patience")
        .times(1)
        .status(429)
        .header("retry-after", "0");
    hub.server().rule(limited);
}
