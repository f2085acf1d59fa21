//! Registries that mean harm, or that nobody could read.

use modelrack::{Manager, PullOptions, RemoteOptions};

use super::{Host, sync, tree_of};
use crate::sources::repository::models::ModelsToml;
use crate::support::address;

/// Asserts that a sync refuses a registry, leaves nothing of it, and says why in a line; returns that.
#[track_caller]
fn refused(registry: impl Into<Vec<u8>>) -> String {
    let host = Host::empty();
    host.repo.commit("develop", tree_of(registry));
    let manager = host.manager(&["develop"]);
    let told = sync(&manager);
    assert!(
        told.starts_with("failed mf6/test@develop REGISTRY_ERROR "),
        "{told:?}"
    );
    assert_eq!(told.lines().count(), 1, "{told:?}");
    assert!(!told.trim_end().chars().any(char::is_control), "{told:?}");
    assert!(told.contains("/raw/"), "names the registry: {told}");
    let error = manager.list_remote(&RemoteOptions::default()).unwrap_err();
    assert_eq!(error.code(), "NOT_SYNCED");
    told
}

#[test]
fn names_of_files() {
    for name in [
        "../x",
        "a/../../x",
        "/etc/passwd",
        "C:/x",
        "C:x",
        "a\\b",
        "\\\\host\\share",
        "con",
        "a/NUL.txt",
        "a/b.",
        "a/ b",
        "a\u{1b}[2J",
        "a\nb",
        "a\0b",
        "a\u{202e}b",
        "",
        ".",
        "a//b",
        "a/",
        "x:stream",
        "a*",
    ] {
        let told = refused(ModelsToml::new().file(name, b"x").model("m", &[name]));
        assert!(told.contains("model 'm': "), "{told}");
        // Nor one that is listed among the files only by its model.
        refused(ModelsToml::new().model("m", &[name]));
    }
    refused(ModelsToml::new().model("m", &[&"a/".repeat(400)]));
    refused(ModelsToml::new().model("m", &[&"a".repeat(300)]));
    // Names that meet on some system.
    for names in [["a/x", "a/X"], ["a/x", "A/y"], ["a", "a/x"], ["É", "é"]] {
        let host = Host::empty();
        let toml = ModelsToml::new().model("m", &names);
        host.repo.commit("develop", tree_of(toml));
        let manager = host.manager(&["develop"]);
        sync(&manager);
        let error = manager.plan_pull(&address("mf6/test/m"), &PullOptions::default());
        let error = error.unwrap_err();
        assert_eq!(error.code(), "REGISTRY_ERROR", "{names:?}: {error}");
    }
}

#[test]
fn an_entry_that_cannot_be_offered_leaves_the_others() {
    for (what, bad) in [
        ("a name of a model", "\"con\" = [\"n/y\"]\n"),
        ("no list", "\"bad\" = 7\n"),
        ("a list of numbers", "\"bad\" = [1]\n"),
        ("a file", "\"bad\" = [\"../x\"]\n"),
        ("a hash", "\"bad\" = [\"n/hash\"]\n"),
        ("a size", "\"bad\" = [\"n/size\"]\n"),
        ("an entry", "\"bad\" = [\"n/number\"]\n"),
        (
            "models but for case",
            "\"bad\" = [\"n/y\"]\n\"BAD\" = [\"n/y\"]\n",
        ),
        (
            "a model twice",
            "\"bad\" = [\"n/y\"]\n\"mf6/test/bad\" = [\"n/y\"]\n",
        ),
        ("an example", "[examples]\ne = 7\n"),
    ] {
        let host = Host::empty();
        let files = "\"n/y\" = {}\n\"n/hash\" = { hash = \"zz\" }\n\"n/size\" = { size = -1 }\n\"n/number\" = 1\n";
        let toml = format!("[files]\n{files}[models]\ngood = [\"n/y\"]\n{bad}");
        host.repo.commit("develop", tree_of(toml));
        let manager = host.manager(&["develop"]);
        assert_eq!(
            sync(&manager),
            "synced mf6/test@develop version_controlled 1\n",
            "{what}"
        );
        let listing = manager.list_remote(&RemoteOptions::default()).unwrap();
        let listed: Vec<String> = listing
            .models
            .iter()
            .map(|it| it.model.to_string())
            .collect();
        assert_eq!(listed, ["mf6/test/good develop"], "{what}");
        if bad.contains("\"bad\"") {
            let find = |name: &str| manager.get_remote(&address(name), &RemoteOptions::default());
            let error = find("mf6/test/bad develop").unwrap_err();
            assert_eq!(error.code(), "REGISTRY_ERROR", "{what}");
            assert!(
                error.to_string().contains("model 'mf6/test/bad': "),
                "{what}: {error}"
            );
            assert_eq!(
                find("mf6/test/bad").unwrap_err().code(),
                "REGISTRY_ERROR",
                "{what}"
            );
        }
    }
}

#[test]
fn names_of_models_and_folders() {
    for name in [
        "../m",
        "/m",
        "m/",
        "a//b",
        "con",
        "a\\b",
        "a:b",
        "a@b",
        "m\u{7}",
        "a\u{200b}b",
        ".",
        "..",
        " m",
        "m.",
        "",
        "mf6/test/",
        "a*",
    ] {
        let told = refused(ModelsToml::new().model(name, &["x"]));
        assert!(told.contains(": the name "), "{told}");
    }
    refused(ModelsToml::new().model(&"m/".repeat(130), &[]));
    for names in [["m", "M"], ["m", "mf6/test/m"], ["a/É", "a/é"]] {
        let told = refused(ModelsToml::new().model(names[0], &[]).model(names[1], &[]));
        assert!(
            told.contains("occurs twice, or differs from another only in case"),
            "{told}"
        );
    }
    for root in ["..", "/../x", "a/../b", "C:/", "a\\b", "con"] {
        refused(ModelsToml::new().root(root));
    }
    for asset in ["../a.zip", "a/b.zip", "", "nul.zip", "a\u{7}.zip"] {
        refused(ModelsToml::new().asset(asset));
    }
}

#[test]
fn sizes_and_hashes_beyond_reason() {
    for facts in [
        "size = -1",
        "size = 1.5",
        "size = \"1\"",
        "size = 99999999999999999999",
        "hash = 7",
        "hash = \"zz\"",
        "hash = \"sha256:\"x",
        "hash = [\"a\"]",
        "url = 1",
    ] {
        refused(format!(
            "[files]\nx = {{ {facts} }}\n[models]\nm = [\"x\"]\n"
        ));
    }
    let most = i64::MAX;
    let told = refused(format!(
        "[files]\nx = {{ size = {most} }}\ny = {{ size = {most} }}\nz = {{ size = {most} }}\n\
         [models]\nm = [\"x\", \"y\", \"z\"]\n"
    ));
    assert!(
        told.contains("the sizes of the files are too large"),
        "{told}"
    );
}

#[test]
fn what_is_no_registry() {
    let deep_array = format!("x = {}1{}\n", "[".repeat(100_000), "]".repeat(100_000));
    let deep_table = format!("x = {}1{}\n", "{ a = ".repeat(20_000), " }".repeat(20_000));
    let deep_key = format!("[{}x]\na = 1\n", "a.".repeat(100_000));
    for text in [
        "= broken".to_owned(),
        "<!DOCTYPE html>\n<html>\n".to_owned(),
        "{\"files\": {}}".to_owned(),
        "files = 1\n".to_owned(),
        "files = []\n".to_owned(),
        "models = { m = 1 }\n".to_owned(),
        "models = { m = [1] }\n".to_owned(),
        "examples = { e = \"m\" }\n".to_owned(),
        "[files]\nx = 1\n[models]\nm = [\"x\"]\n".to_owned(),
        "root = 1\n".to_owned(),
        "asset = []\n".to_owned(),
        "[files]\nx = {}\nx = {}\n".to_owned(),
        "[models]\nm = []\n[models]\nn = []\n".to_owned(),
        "[models]\nm = []\n\"m\" = []\n".to_owned(),
        "\u{1b}[2J".to_owned(),
        deep_array,
        deep_table,
        deep_key,
    ] {
        refused(text);
    }
    assert!(refused(b"[models]\n\"\xff\" = []\n".to_vec()).contains("not UTF-8 text"));
    assert!(refused(b"\0\0\0\0".to_vec()).contains("malformed"));
}

#[test]
fn a_hundred_levels_are_no_harm() {
    // Nobody needs what is there, and it may be passed over or refused; it must end.
    let nested = format!("[{}x]\na = 1\n", "a.".repeat(100));
    let array = format!("x = {}1{}\n", "[".repeat(100), "]".repeat(100));
    for text in [nested, array] {
        let host = Host::empty();
        host.repo.commit("develop", tree_of(text));
        let told = sync(&host.manager(&["develop"]));
        assert_eq!(told.lines().count(), 1, "{told}");
    }
    let host = Host::empty();
    let name = vec!["a"; 100].join("/");
    host.repo
        .commit("develop", tree_of(ModelsToml::new().model(&name, &["x"])));
    assert!(sync(&host.manager(&["develop"])).starts_with("synced"));
}

#[test]
fn ten_thousand_files() {
    let mut toml = String::from("[files]\n");
    let mut models = String::from("[models]\n");
    for number in 0..10_000 {
        toml += &format!("\"m{0}/f{number}\" = {{ size = {number} }}\n", number / 10);
    }
    for model in 0..1000 {
        let files: Vec<String> = (0..10)
            .map(|file| format!("m{model}/f{}", model * 10 + file))
            .collect();
        models += &format!("m{model} = {files:?}\n");
    }
    let host = Host::empty();
    host.repo.commit("develop", tree_of(toml + &models));
    let manager = host.manager(&["develop"]);
    assert_eq!(
        sync(&manager),
        "synced mf6/test@develop version_controlled 1000\n"
    );
    let listing = manager.list_remote(&RemoteOptions::default()).unwrap();
    assert_eq!(listing.models.len(), 1000);
    assert_eq!(
        listing.models.iter().map(|m| m.files.unwrap()).sum::<u64>(),
        10_000
    );
}
