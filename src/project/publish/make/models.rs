//! Finding the models below a folder, their files, and the examples that they form.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;

use crate::error::{Error, Result};
use crate::glob::Glob;
use crate::model::ModelName;
use crate::relpath::{RelPath, below, common_folder};

/// What the last segment of a flow model's name contains. Outputs of flow models are inputs of the other models.
const FLOW: &str = "gwf";

/// How models are recognised and named.
#[derive(Debug)]
pub(super) struct Naming<'a> {
    /// The name of a model's name file.
    pub(super) name_file: &'a Glob,
    /// The prefix of every name; may be empty.
    pub(super) prefix: &'a str,
    /// The name of a model at the top.
    pub(super) top: Option<&'a str>,
    /// Whether the models are in a zip of a release, whose first folders are examples, as its makers have it.
    pub(super) is_release: bool,
}

/// The models below a folder.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Models<'a> {
    /// All files of all models.
    pub(super) files: BTreeSet<&'a str>,
    /// Model → its files, in order.
    pub(super) models: BTreeMap<String, Vec<String>>,
    /// Example → its models, flow models first.
    pub(super) examples: BTreeMap<String, Vec<String>>,
    /// The models in the folder of another model, each with the nearest of those.
    pub(super) nested: Vec<[String; 2]>,
}

/// Finds the models among files, which are sorted. Each folder with a name file is a model, with everything below the
/// folder, including nested models. Models below the same first folder form an example with its name: in a release each of
/// these folders, and elsewhere those below the folder that all models have in common.
///
/// # Errors
/// [`ErrorKind::Registry`](crate::ErrorKind::Registry) at `location` for a name that no registry can have, when it is of a model, and for two models of
/// one name.
pub(super) fn find<'a>(
    names: &'a [String],
    naming: &Naming<'_>,
    location: &dyn Display,
) -> Result<Models<'a>> {
    let refuse = |message: String| Error::registry(location, message);
    let folders: BTreeSet<&str> = names
        .iter()
        .map(|name| name.rsplit_once('/').unwrap_or(("", name)))
        .filter(|(_, file)| naming.name_file.matches(file))
        .map(|(folder, _)| folder)
        .collect();
    let common = match naming.is_release {
        true => "",
        false => common_folder(folders.iter().copied()),
    };
    let mut found = Models::default();
    let name_of = |folder: &str| -> Result<String> {
        let path = match folder {
            "" => naming
                .top
                .ok_or_else(|| refuse("the model at the top has no name".into()))?,
            path => path,
        };
        Ok(below(naming.prefix, path))
    };
    for folder in &folders {
        let model = name_of(folder)?;
        ModelName::parse(&model).map_err(|error| refuse(format!("a model's folder: {error}")))?;
        let files = files_below(names, folder);
        if found.models.insert(model.clone(), files.to_vec()).is_some() {
            return Err(refuse(format!("two models would have the name '{model}'")));
        }
        found.files.extend(files.iter().map(String::as_str));
        let inner = folder[common.len()..].trim_start_matches('/');
        let (first, is_below) = inner
            .split_once('/')
            .map_or((inner, false), |(first, _)| (first, true));
        if is_below || naming.is_release && !first.is_empty() {
            let example = below(naming.prefix, &below(common, first));
            found
                .examples
                .entry(example)
                .or_default()
                .push(model.clone());
        }
        let above = folder.rmatch_indices('/').map(|(at, _)| &folder[..at]);
        let mut above = above.chain((!folder.is_empty()).then_some(""));
        if let Some(above) = above.find(|above| folders.contains(above)) {
            found.nested.push([model, name_of(above)?]);
        }
    }
    for file in &found.files {
        RelPath::parse(file).map_err(|error| refuse(error.to_string()))?;
    }
    for models in found.examples.values_mut() {
        models.sort_by_cached_key(|model| {
            let last = model.rsplit('/').next().unwrap_or_default();
            (!last.contains(FLOW), model.clone())
        });
    }
    Ok(found)
}

/// Returns the files below a folder, which are adjacent.
fn files_below<'a>(names: &'a [String], folder: &str) -> &'a [String] {
    if folder.is_empty() {
        return names;
    }
    let prefix = format!("{folder}/");
    let begin = names.partition_point(|name| *name < prefix);
    let count = names[begin..].partition_point(|name| name.starts_with(&prefix));
    &names[begin..begin + count]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(names: &[&str]) -> Vec<String> {
        let mut names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        names.sort();
        names
    }

    fn find_in<'a>(names: &'a [String], prefix: &str, pattern: &str) -> Result<Models<'a>> {
        let naming = Naming {
            name_file: &Glob::new(pattern),
            prefix,
            top: Some("top"),
            is_release: false,
        };
        find(names, &naming, &"here")
    }

    #[test]
    fn every_folder_with_a_name_file_is_a_model() {
        let names = names(&[
            "README.md",
            "a/mfsim.nam",
            "a/in/x",
            "a-b/x",
            "a.b/mfsim.nam",
            "b/none.nam",
            "c/d/mfsim.nam",
        ]);
        let found = find_in(&names, "", "mfsim.nam").unwrap();
        let models: Vec<_> = found.models.iter().collect();
        let file = |name: &str| name.to_owned();
        assert_eq!(
            models,
            [
                (&file("a"), &vec![file("a/in/x"), file("a/mfsim.nam")]),
                (&file("a.b"), &vec![file("a.b/mfsim.nam")]),
                (&file("c/d"), &vec![file("c/d/mfsim.nam")]),
            ]
        );
        assert_eq!(found.files.len(), 4);
        assert!(found.nested.is_empty());
        let found = find_in(&names, "", "*.nam").unwrap();
        assert!(found.models.contains_key("b"));
        assert_eq!(find_in(&names, "", "*.tdis").unwrap(), Models::default());
    }

    #[test]
    fn the_files_of_a_nested_model_belong_to_both() {
        let names = names(&["a/mfsim.nam", "a/in/mfsim.nam", "a/in/x", "mfsim.nam"]);
        let found = find_in(&names, "mf6/test", "mfsim.nam").unwrap();
        let sizes: Vec<_> = found
            .models
            .iter()
            .map(|(model, files)| (model.as_str(), files.len()))
            .collect();
        assert_eq!(
            sizes,
            [("mf6/test/a", 3), ("mf6/test/a/in", 2), ("mf6/test/top", 4)]
        );
        let nested = [
            ["mf6/test/a", "mf6/test/top"],
            ["mf6/test/a/in", "mf6/test/a"],
        ];
        assert_eq!(
            (found.files.len(), found.nested),
            (4, nested.map(|of| of.map(str::to_owned)).to_vec())
        );
    }

    #[test]
    fn models_below_one_folder_form_an_example_with_flow_models_first() {
        let names = names(&[
            "ex/mf6gwt/mfsim.nam",
            "ex/mf6gwf/mfsim.nam",
            "ex/a/gwf-none/deep/mfsim.nam",
            "ex/b-gwf/mfsim.nam",
            "single/mfsim.nam",
            "gwf/other/mfsim.nam",
        ]);
        let found = find_in(&names, "p", "mfsim.nam").unwrap();
        let examples: Vec<_> = found.examples.iter().collect();
        let list = |models: &[&str]| models.iter().map(|model| (*model).to_owned()).collect();
        let ex: Vec<String> = list(&[
            "p/ex/b-gwf",
            "p/ex/mf6gwf",
            "p/ex/a/gwf-none/deep",
            "p/ex/mf6gwt",
        ]);
        assert_eq!(
            examples,
            [
                (&"p/ex".to_owned(), &ex),
                (&"p/gwf".to_owned(), &list(&["p/gwf/other"])),
            ]
        );
    }

    #[test]
    fn examples_are_the_folders_of_a_release_or_below_what_all_models_have_in_common() {
        let names = names(&[
            "r/ex/gwf/mfsim.nam",
            "r/ex/gwt/mfsim.nam",
            "r/one/mfsim.nam",
        ]);
        let examples = |names: &[String], is_release| {
            let naming = Naming {
                name_file: &Glob::new("mfsim.nam"),
                prefix: "p",
                top: Some("top"),
                is_release,
            };
            let found = find(names, &naming, &"here").unwrap();
            let examples = found.examples.into_iter();
            let shown = examples.map(|(name, models)| format!("{name}: {}", models.join(" ")));
            shown.collect::<Vec<_>>()
        };
        assert_eq!(examples(&names, false), ["p/r/ex: p/r/ex/gwf p/r/ex/gwt"]);
        assert_eq!(
            examples(&names, true),
            ["p/r: p/r/ex/gwf p/r/ex/gwt p/r/one"]
        );
        let inside = names.iter().map(|name| name[2..].to_owned());
        let inside: Vec<String> = inside.collect();
        assert_eq!(examples(&inside, false), ["p/ex: p/ex/gwf p/ex/gwt"]);
        assert_eq!(
            examples(&inside, true),
            ["p/ex: p/ex/gwf p/ex/gwt", "p/one: p/one"]
        );
        assert_eq!(examples(&["mfsim.nam".to_owned()], true), [""; 0]);
    }

    #[test]
    fn only_names_in_models_are_checked() {
        let of = |bad: &str| find_in(&names(&["a/mfsim.nam", bad]), "", "mfsim.nam").map(|_| ());
        for harmless in [
            "b/../x",
            "/etc/passwd",
            "C:/x",
            "b\\x",
            "con/x",
            "../x",
            "x ",
        ] {
            of(harmless).unwrap();
        }
        for bad in [
            "a/../x",
            "a//x",
            "a/con",
            "a/x.",
            "a/b\\x",
            "a/x:y",
            "a/x\ny",
            "../mfsim.nam",
            "/mfsim.nam",
            "b /mfsim.nam",
            "b@c/mfsim.nam",
        ] {
            let error = of(bad).unwrap_err();
            assert_eq!(error.code(), "REGISTRY_ERROR", "{bad}");
            assert!(error.to_string().contains("name '"), "{error}");
        }
        let twice = names(&["mfsim.nam", "top/mfsim.nam"]);
        let error = find_in(&twice, "", "mfsim.nam").unwrap_err().to_string();
        assert!(error.contains("two models"), "{error}");
    }
}
