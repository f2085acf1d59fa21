//! `models.toml` as it is written; [`crate::source::repository::wire`] shows its form.

use std::fmt::{Display, Write as _};
use std::fs;
use std::path::Path;

use serde_json::Value;

use super::models::Models;
use super::tree::Facts;
use crate::error::{Error, IoContext, Result};

/// What a new registry replaces: what it has itself, and what other programs say of when and how they wrote theirs.
const REPLACED: [&str; 9] = [
    "schema_version",
    "generated_at",
    "devtools_version",
    "_meta",
    "root",
    "asset",
    "files",
    "models",
    "examples",
];

/// What a registry says of a file.
#[derive(Debug)]
pub(super) struct File<'a> {
    pub(super) name: &'a str,
    pub(super) facts: Facts,
    /// For readers that do not build it themselves.
    pub(super) url: Option<String>,
}

/// Refuses to replace a registry in which there is more than a new one would have.
///
/// # Errors
/// [`Error::Registry`] when there is, or when the file is no TOML, so that nobody knows; the storage errors.
pub(super) fn check_replaceable(path: &Path) -> Result<()> {
    let text = match fs::read_to_string(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        text => text.at("read", path)?,
    };
    let table: toml::Table = text
        .parse()
        .map_err(|error: toml::de::Error| Error::Registry {
            location: path.display().to_string(),
            message:
                "what is there is no registry, and would be lost: remove it, or choose another \
                  output folder"
                    .into(),
            source: Some(error.into()),
        })?;
    let others = table.keys().filter(|key| !REPLACED.contains(&key.as_str()));
    let others: Vec<String> = others
        .map(|key| format!("'{}'", key.escape_debug()))
        .collect();
    if others.is_empty() {
        return Ok(());
    }
    Err(Error::registry(
        path.display(),
        format!(
            "the registry there has {} too, which would be lost: choose another output folder",
            others.join(", ")
        ),
    ))
}

/// Writes a registry down: the same one as the same text.
pub(super) fn render(
    root: &str,
    asset: Option<&str>,
    files: &[File<'_>],
    models: &Models<'_>,
) -> String {
    let mut text = String::from("schema_version = \"1.0\"\n");
    let root = Some(root).filter(|root| !root.is_empty());
    for (key, value) in [("root", root), ("asset", asset)] {
        if let Some(value) = value {
            push(&mut text, format_args!("{key} = {}\n", quoted(value)));
        }
    }
    text.push_str("\n[files]\n");
    for File { name, facts, url } in files {
        let Facts { digest, size_bytes } = facts;
        let name = quoted(name);
        let facts = format_args!("hash = \"sha256:{digest}\", size = {size_bytes}");
        match url {
            Some(url) => {
                let url = quoted(url);
                push(
                    &mut text,
                    format_args!("{name} = {{ {facts}, url = {url} }}\n"),
                );
            }
            None => push(&mut text, format_args!("{name} = {{ {facts} }}\n")),
        }
    }
    text.push_str("\n[models]\n");
    for (model, files) in &models.models {
        push_list(&mut text, model, files);
    }
    text.push_str("\n[examples]\n");
    for (example, models) in &models.examples {
        push_list(&mut text, example, models);
    }
    text
}

fn push_list(text: &mut String, name: &str, members: &[String]) {
    push(text, format_args!("{} = [\n", quoted(name)));
    for member in members {
        push(text, format_args!("    {},\n", quoted(member)));
    }
    text.push_str("]\n");
}

fn push(text: &mut String, piece: impl Display) {
    // A string takes everything.
    let _ = write!(text, "{piece}");
}

/// A basic string; JSON writes them the same way, and control characters were refused.
fn quoted(text: &str) -> String {
    Value::from(text).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest::Digest;

    #[test]
    fn the_form_is_that_of_the_format() {
        let names = ["a/b/x".to_owned(), "é \"x\".nam".to_owned()];
        let mut models = Models::default();
        models.models.insert("p/a/b".into(), &names);
        models.examples.insert("p/a".into(), vec!["p/a/b".into()]);
        let facts = Facts {
            digest: Digest::of(b"model"),
            size_bytes: 5,
        };
        let files = [
            File {
                name: &names[0],
                facts,
                url: None,
            },
            File {
                name: &names[1],
                facts,
                url: Some("https://h/x".into()),
            },
        ];
        let text = render("mf6", Some("all.zip"), &files, &models);
        let digest = Digest::of(b"model").to_string();
        assert_eq!(
            text.replace(&digest, "DIGEST"),
            r#"schema_version = "1.0"
root = "mf6"
asset = "all.zip"

[files]
"a/b/x" = { hash = "sha256:DIGEST", size = 5 }
"é \"x\".nam" = { hash = "sha256:DIGEST", size = 5, url = "https://h/x" }

[models]
"p/a/b" = [
    "a/b/x",
    "é \"x\".nam",
]

[examples]
"p/a" = [
    "p/a/b",
]
"#
        );
        assert!(text.parse::<toml::Table>().is_ok());
        let least = render("", None, &[], &Models::default());
        assert!(
            least.starts_with("schema_version = \"1.0\"\n\n[files]\n"),
            "{least}"
        );
    }
}
