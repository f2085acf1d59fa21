//! How people name what registries have.

use modelrack::installed::Freshness;
use modelrack::pull::PullOutcome;
use modelrack::{
    ClearOptions, ErrorKind, Manager, ManagerExt, PullOptions, UpdateOptions, VerifyOptions,
};

use super::{LLAMA, Machine, llama};
use crate::support::address;
use crate::support::disk::{flip, names_in};
use crate::support::oci::Artifact;

#[test]
fn tags_and_digests_stand_where_people_write_them() {
    let (machine, digest) = Machine::with_llama();
    for (typed, installed) in [
        (
            "oci/acme/llama q4".to_owned(),
            "oci/acme/llama q4".to_owned(),
        ),
        (
            "oci/acme/llama@q4".to_owned(),
            "oci/acme/llama q4".to_owned(),
        ),
        (
            "oci/acme/llama:q4".to_owned(),
            "oci/acme/llama q4".to_owned(),
        ),
        (
            "oci@q4/acme/llama".to_owned(),
            "oci/acme/llama q4".to_owned(),
        ),
        ("oci/acme/llama".to_owned(), "oci/acme/llama q4".to_owned()),
        (
            format!("oci/acme/llama@{digest}"),
            format!("oci/acme/llama {digest}"),
        ),
        (
            format!("oci/acme/llama:q4@{digest}"),
            format!("oci/acme/llama {digest}"),
        ),
        (
            format!("oci/acme/llama {digest}"),
            format!("oci/acme/llama {digest}"),
        ),
    ] {
        let report = machine.pull(&typed).unwrap();
        assert_eq!(report.model.to_string(), installed, "{typed}");
    }
    // On disk, no name has a colon.
    let folders = names_in(&machine.rack.dir_of("oci/acme/llama q4").join(".."));
    assert_eq!(folders, ["q4".to_owned(), digest.replace(':', "%3A")]);
    // What a digest names cannot change.
    machine.requests();
    let report = machine.pull(&format!("oci/acme/llama@{digest}")).unwrap();
    assert_eq!(report.outcome, PullOutcome::AlreadyInstalled);
    assert_eq!(machine.requests(), Vec::<String>::new());
}

#[test]
fn a_tag_left_out_is_the_latest_or_the_only_one() {
    let (machine, _) = Machine::with_llama();
    machine
        .registry
        .push(LLAMA, "q8", &Artifact::model_pack(&llama()));
    let error = machine.pull("oci/acme/llama").unwrap_err();
    let ErrorKind::InvalidRef { choices, .. } = error.kind() else {
        panic!("{error:?}");
    };
    assert_eq!(choices, &["oci/acme/llama q4", "oci/acme/llama q8"]);
    machine
        .registry
        .push(LLAMA, "latest", &Artifact::model_pack(&llama()));
    let report = machine.pull("oci/acme/llama").unwrap();
    assert_eq!(report.model.version(), "latest");
}

#[test]
fn what_is_not_there_is_told_apart() {
    let (machine, _) = Machine::with_llama();
    for (typed, code) in [
        ("oci/acme/llama:q5", "VERSION_NOT_FOUND"),
        ("oci/acme/llama:-", "VERSION_NOT_FOUND"),
        ("oci/acme/lama:q4", "MODEL_NOT_FOUND"),
        ("oci/acme/lama", "MODEL_NOT_FOUND"),
        ("oci/acme_/llama:q4", "MODEL_NOT_FOUND"),
        ("oci/acme/llama@md5:abc", "INVALID_REF"),
    ] {
        let error = machine.pull(typed).unwrap_err();
        assert_eq!(error.code(), code, "{typed}: {error:?}");
    }
    let near = |typed: &str| match machine.pull(typed).unwrap_err().kind() {
        ErrorKind::VersionNotFound { near, .. } | ErrorKind::ModelNotFound { near, .. } => {
            near.clone()
        }
        other => panic!("{other:?}"),
    };
    assert_eq!(near("oci/acme/llama:q5"), ["q4"]);
}

#[test]
fn capitals_are_of_no_account_to_a_registry() {
    let (machine, _) = Machine::with_llama();
    let report = machine.pull("oci/Acme/Llama:q4").unwrap();
    assert_eq!(report.model.to_string(), "oci/Acme/Llama q4");
    machine.rack.assert_files("oci/Acme/Llama q4", &llama());
}

#[test]
fn a_source_may_have_the_beginning_of_names() {
    let (machine, _) = Machine::with_llama();
    let toml = format!(
        "[sources.team]\noci = \"{}/acme\"\nname = \"models\"\n",
        machine.registry.url()
    );
    let manager = machine
        .rack
        .manager_of(machine.rack.bare_config().bootstrap(toml));
    let report = manager.pull_model("models/llama:q4").unwrap();
    assert_eq!(report.model.to_string(), "models/llama q4");
    assert_eq!(
        manager
            .list_remote(&Default::default())
            .unwrap()
            .models
            .len(),
        1
    );
}

#[test]
fn a_registry_need_not_be_configured() {
    let (machine, _) = Machine::with_llama();
    let host = machine.registry.host();
    let typed = format!("oci://{host}/acme/llama:q4");
    let stored = format!("{}/acme/llama q4", host.replace(':', "_"));
    let report = machine
        .bare_manager()
        .pull(&address(&typed), &PullOptions::default())
        .unwrap();
    assert_eq!(report.model.to_string(), stored);
    machine.assert_llama_installed(&stored);
    let again = machine
        .bare_manager()
        .pull(&address(&typed), &PullOptions::default())
        .unwrap();
    assert_eq!(again.outcome, PullOutcome::AlreadyInstalled);
    // By the name it is stored under, too.
    machine.bare_manager().pull_model(&*stored).unwrap();

    // Nothing but the record says where it is from.
    machine
        .bare_manager()
        .clear(&ClearOptions::default())
        .unwrap();
    assert_eq!(
        names_in(&machine.rack.index_cache().join("registries")).len(),
        1
    );
    std::fs::remove_dir_all(machine.rack.index_cache()).unwrap();
    machine.requests();
    let check = machine
        .bare_manager()
        .check_update(&UpdateOptions::default())
        .unwrap();
    assert!(
        matches!(check.entries[0].freshness, Freshness::UpToDate),
        "{check:?}"
    );
    assert_eq!(machine.requests()[0], format!("GET {LLAMA}/manifests/q4"));
    std::fs::remove_dir_all(machine.rack.index_cache()).unwrap();
    flip(&machine.rack.dir_of(&stored).join("model.gguf"), 9);
    let report = machine
        .bare_manager()
        .verify(&VerifyOptions::default().repair(true))
        .unwrap();
    assert!(report.models[0].is_whole(), "{report:?}");
    machine.assert_llama_installed(&stored);

    for typed in ["ftp://example.com/a/b", "oci://ghcr.io:x/a/b"] {
        let error = machine.bare_manager().pull_model(typed).unwrap_err();
        assert_eq!(error.code(), "INVALID_REF", "{typed}");
    }
}
