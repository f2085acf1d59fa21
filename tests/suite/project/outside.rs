//! Nothing outside of the project is read or written, whatever its registry and links say.

use std::fs;

use modelrack::ErrorKind;
use modelrack::project::{AddOptions, Project, PublishOptions, ResyncOptions};

use super::folder::{Folder, failures};
use super::singles;
use crate::support::disk::files_below;
use crate::support::platform::{link_file, link_folder};

/// A registry in which a file behind a link is a model, or is needed by one.
fn reaching_out() -> Option<(Folder, Folder)> {
    let outside = Folder::with(&[("secret.bin", "secret")]);
    let folder = Folder::with(&[("in/secret.bin", "known"), ("m.bin", "x")]);
    folder.add_with(
        &["m.bin"],
        &AddOptions::default().data(vec![folder.path("in")]),
    );
    folder.add(&["in/secret.bin"]);
    fs::remove_dir_all(folder.path("in")).unwrap();
    link_folder(outside.root(), &folder.path("in")).then_some((outside, folder))
}

#[test]
fn files_behind_a_link_to_a_folder_count_as_missing() {
    let Some((_outside, folder)) = reaching_out() else {
        return;
    };
    let missing = [
        "error missing_file m: Data file not found: in/secret.bin",
        "error missing_file secret: Model file not found: in/secret.bin",
    ];
    assert_eq!(folder.findings(), missing);
    let published = tempfile::tempdir().unwrap();
    let error = folder
        .project()
        .publish(&[], published.path(), &PublishOptions::default())
        .unwrap_err();
    assert!(
        matches!(error.kind(), ErrorKind::NotPublishable { .. }),
        "{error}"
    );
    assert!(files_below(published.path()).is_empty());
    // Registering the model again does not read its data there either.
    let report = folder.add(&["m.bin"]);
    assert_eq!(failures(&report.failed).len(), 1);
    let report = folder.sync(&ResyncOptions::default());
    assert!(report.needs_force);
    let report = folder.sync(&ResyncOptions::default().force(true));
    assert_eq!(failures(&report.failed), []);
    assert!(!folder.text().contains("size = 6"), "{}", folder.text());
    assert_eq!(folder.findings(), [""; 0]);
}

#[test]
fn a_module_behind_a_link_is_not_read() {
    let outside = Folder::with(&[("m.py", "this is no Python")]);
    let folder = Folder::with(&[("a.bin", "x")]);
    let options = AddOptions::default().entrypoint("out.m:A");
    folder.add_with(&["a.bin"], &options.outputs(["y"]));
    if !link_folder(outside.root(), &folder.path("out")) {
        return;
    }
    assert_eq!(
        folder.findings(),
        ["error missing_module a: Module not found for entrypoint 'out.m:A'"]
    );
}

#[test]
fn a_model_replaced_by_a_link_can_be_dropped() {
    let folder = Folder::with(&[("a.bin", "x"), ("b.bin", "y")]);
    folder.add(&["a.bin"]);
    folder.delete("a.bin");
    if !link_file(&folder.path("b.bin"), &folder.path("a.bin")) {
        return;
    }
    assert_eq!(
        folder.findings(),
        ["error missing_file a: Model file not found: a.bin"]
    );
    // The remedy of the finding works.
    let report = folder.sync(&ResyncOptions::default().force(true));
    assert_eq!(failures(&report.failed), []);
    assert!(folder.project().registry().entries.is_empty());
}

#[test]
fn a_registry_that_is_a_link_is_refused() {
    let outside = singles::Folder::new();
    let victim = outside.write("victim", "as it was");
    let refused = |folder: &singles::Folder, name: &str| {
        let error = match Project::open(folder.temp.path(), &Default::default()) {
            Ok(mut project) => folder.add_to(&mut project, "a").unwrap_err(),
            Err(error) => error,
        };
        let message = error.to_string();
        assert!(message.contains("move it elsewhere"), "{message}");
        assert!(message.contains(name), "{message}");
        assert_eq!(fs::read_to_string(&victim).unwrap(), "as it was");
        assert_eq!(files_below(outside.temp.path()).len(), 1);
    };
    let folder = singles::Folder::new();
    folder.write("a", "x");
    if !link_folder(outside.temp.path(), &folder.own("")) {
        return;
    }
    refused(&folder, ".registry");
    for name in ["models.toml", ".models.toml.lock"] {
        let folder = singles::Folder::new();
        folder.write("a", "x");
        fs::create_dir(folder.own("")).unwrap();
        assert!(link_file(&victim, &folder.own(name)));
        refused(&folder, name);
    }
    // A pipe is not waited for, and a file is not a registry's folder.
    let folder = singles::Folder::new();
    fs::create_dir_all(folder.own("models.toml")).unwrap();
    let error = Project::open(folder.temp.path(), &Default::default()).unwrap_err();
    assert!(error.to_string().contains("is not a file"), "{error}");
    let folder = singles::Folder::new();
    fs::write(folder.temp.path().join(".registry"), "x").unwrap();
    let error = Project::open(folder.temp.path(), &Default::default()).unwrap_err();
    assert!(error.to_string().contains("is not a folder"), "{error}");
}
