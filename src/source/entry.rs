//! `[sources]` of a configuration file.

use std::collections::BTreeMap;

use serde::de::DeserializeOwned;
use toml::{Table, Value};

use crate::error::{Error, Result};
use crate::model::ModelName;
use crate::near::nearest;
use crate::settings::{Layer, Settings};
use crate::source::{Identity, KINDS, Kind};
use crate::url::{Scheme, Url};

/// One entry of `[sources]`, known to be of one kind.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub(crate) identity: Identity,
    /// Names the file and the entry in errors, such as `models.toml: sources.hf`.
    at: String,
    table: Table,
}

impl Entry {
    /// The entry of a registry that is named by its URL alone.
    pub(crate) fn of_url(url: &Url, public_key: Option<&str>) -> Self {
        let text = |text: &str| Value::String(text.to_owned());
        let mut table = Table::from_iter([("url".to_owned(), text(&url.expose()))]);
        table.extend(public_key.map(|key| ("public_key".to_owned(), text(key))));
        Self {
            identity: Identity::default(),
            at: "the registry".to_owned(),
            table,
        }
    }

    /// Reads the entry into the type of its kind. `name` is not part of it.
    pub(crate) fn read<T: DeserializeOwned>(&self) -> Result<T> {
        let read = Value::Table(self.table.clone()).try_into();
        read.map_err(|error: toml::de::Error| {
            let message = format!("{} is invalid", self.at);
            Error::config_from(message, without_values(&error, ""))
        })
    }

    /// Names a key in errors.
    pub(crate) fn at(&self, key: &str) -> String {
        if self.identity.key.is_empty() {
            self.at.clone()
        } else {
            format!("{}.{key}", self.at)
        }
    }

    /// Reads the URL of a key.
    pub(crate) fn url(&self, key: &str, text: &str) -> Result<Url> {
        parse_url(text, &self.at(key))
    }

    /// Reads the URL of a key that may name a bucket of an object store, too.
    pub(crate) fn url_or_bucket(&self, key: &str, text: &str) -> Result<Url> {
        parse_any_url(text, &self.at(key))
    }

    /// Returns whether it is of this kind.
    pub(crate) fn is_of(&self, kind: &dyn Kind) -> bool {
        self.table.contains_key(kind.keys()[0])
    }

    /// Returns the text of a key.
    pub(crate) fn text(&self, key: &str) -> Option<&str> {
        self.table.get(key)?.as_str()
    }
}

/// Reads the entries of all layers, later ones over earlier ones, in the order of keys; then the one without a key.
pub(crate) fn read_entries(settings: &Settings) -> Result<Vec<Entry>> {
    let mut entries: BTreeMap<String, Option<Entry>> = BTreeMap::new();
    for layer in &settings.layers {
        read_layer(layer, &mut entries)?;
    }
    let mut entries: Vec<Entry> = entries.into_values().flatten().collect();
    if let Some(Layer { origin, text: url }) = &settings.registry_url {
        // Checked by name and key like any other, and called by the variable or setting in errors.
        let url = Value::String(url.expose().to_owned());
        entries.push(Entry {
            identity: Identity::default(),
            at: origin.clone(),
            table: Table::from_iter([("url".to_owned(), url)]),
        });
    }
    for (index, entry) in entries.iter().enumerate() {
        let Identity { key, name } = &entry.identity;
        let mut before = entries[..index].iter();
        if let Some(other) = before.find(|other| other.identity.name == *name) {
            let file = entry.at.strip_suffix(&format!(": sources.{key}"));
            return Err(Error::config(format!(
                "{}: the sources '{}' and '{key}' have the same name '{name}'",
                file.unwrap_or(&entry.at),
                other.identity.key,
            )));
        }
    }
    Ok(entries)
}

fn read_layer(layer: &Layer, entries: &mut BTreeMap<String, Option<Entry>>) -> Result<()> {
    let (origin, text) = (&layer.origin, layer.text.expose());
    let table: Table = text.parse().map_err(|error: toml::de::Error| {
        let message = format!("{origin} is not valid TOML");
        Error::config_from(message, without_values(&error, text))
    })?;
    for (key, value) in table {
        if key != "sources" {
            return Err(unknown_key(origin, &key, &["sources"]));
        }
        let Value::Table(sources) = value else {
            return Err(Error::config(format!("{origin}: 'sources' is not a table")));
        };
        for (key, value) in sources {
            let entry = read_entry(&key, value, origin)?;
            entries.insert(key, entry);
        }
    }
    Ok(())
}

/// Checks what does not depend on the kind; `None` for a source that is turned off.
fn read_entry(key: &str, value: Value, origin: &str) -> Result<Option<Entry>> {
    let at = format!("{origin}: sources.{key}");
    let Value::Table(mut table) = value else {
        return Err(Error::config(format!("{at} is not a table")));
    };
    let kind_keys = || KINDS.iter().flat_map(|kind| kind.keys().iter().copied());
    let known: Vec<&str> = kind_keys().chain(["name"]).collect();
    if let Some(unknown) = table.keys().find(|key| !known.contains(&key.as_str())) {
        return Err(unknown_key(&at, unknown, &known));
    }
    if matches!(table.get("refs"), Some(Value::Array(refs)) if refs.is_empty()) {
        return Ok(None);
    }
    let name = match table.remove("name") {
        None => key.to_owned(),
        Some(Value::String(name)) => name,
        Some(_) => return Err(Error::config(format!("{at}.name is not a string"))),
    };
    // What is in a mirror has its whole name there.
    let may_be_mirror = ["url", "oci"].iter().any(|key| table.contains_key(*key));
    let is_whole = name.is_empty() && may_be_mirror;
    let checked = match is_whole {
        true => Ok(()),
        false => ModelName::parse(&name).map(drop),
    };
    checked.map_err(|error| Error::config(format!("{at}.name: {error}")))?;
    let of_table = |kind: &&&dyn Kind| table.contains_key(kind.keys()[0]);
    let kinds: Vec<_> = KINDS.iter().filter(of_table).collect();
    let [kind] = kinds.as_slice() else {
        let has = if kinds.is_empty() {
            "none"
        } else {
            "more than one"
        };
        let firsts = KINDS.iter().map(|kind| format!("'{}'", kind.keys()[0]));
        let firsts: Vec<String> = firsts.collect();
        let (last, others) = firsts.split_last().unwrap_or((&at, &[]));
        let message = format!("{at} has {has} of {} and {last}", others.join(", "));
        return Err(Error::config(message));
    };
    let mut keys = table.keys();
    if let Some(other) = keys.find(|key| !kind.keys().contains(&key.as_str())) {
        let message = format!("{at}.{other} does not apply to a source of this kind");
        return Err(Error::config(message));
    }
    let key = key.to_owned();
    let identity = Identity { key, name };
    Ok(Some(Entry {
        identity,
        at,
        table,
    }))
}

/// Reads a URL that requests can be sent to; `at` names where it is configured.
pub(crate) fn parse_url(text: &str, at: &str) -> Result<Url> {
    let url = parse_any_url(text, at)?;
    match url.scheme() {
        Scheme::S3 => {
            let message =
                format!("{at} cannot be a bucket: only 'url' and 'mirrors' may begin with s3://");
            Err(Error::config(message))
        }
        _ => Ok(url),
    }
}

fn parse_any_url(text: &str, at: &str) -> Result<Url> {
    let url = Url::parse(text).map(|url| url.set_in(at));
    url.map_err(|error| Error::config_from(format!("{at} is not a usable URL"), error))
}

fn unknown_key(at: &str, key: &str, known: &[&str]) -> Error {
    let hint = did_you_mean(key, known.iter().copied());
    let key = key.escape_debug();
    Error::config(format!("{at} has the unknown key '{key}'{hint}"))
}

/// The end of a message about an unknown word: the known one that comes nearest, if any does.
pub(super) fn did_you_mean<'a>(word: &str, known: impl Iterator<Item = &'a str>) -> String {
    let near = nearest(word, known).into_iter().next();
    near.map_or(String::new(), |near| format!(", did you mean '{near}'?"))
}

/// The parser's words in one line, without the values of the file: a URL may carry a password.
fn without_values(error: &toml::de::Error, text: &str) -> String {
    let mut message = error.message().replace('\n', " ");
    if let (Some(begin), Some(end)) = (message.find('"'), message.rfind('"'))
        && begin < end
    {
        message.replace_range(begin..=end, "…");
    }
    let before = error.span().and_then(|span| text.get(..span.start));
    match before {
        Some(before) => format!("line {}: {message}", before.matches('\n').count() + 1),
        None => message,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::registry::SourceKind;
    use crate::config::Config;
    use crate::env::Environment;
    use crate::platform::System;
    use crate::source::Sources;

    fn env() -> Environment {
        let home = std::env::temp_dir().join("modelrack-no-such-home");
        Environment::empty(System::Linux, home)
    }

    fn open(config: &Config, env: &Environment) -> Result<Sources> {
        Sources::open(&Settings::read(config, env)?, env, None)
    }

    #[test]
    fn later_layers_win() {
        let dir = std::env::temp_dir().join(format!("modelrack-config-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        let overlay = dir.join("models.toml");
        std::fs::write(
            &overlay,
            "[sources.a]\nurl = \"https://fork.example/a\"\n[sources.b]\nrefs = []\n[sources.d]\nhub = \"https://hub.example\"\n",
        )
        .unwrap();
        let config = Config::new("my-app")
            .registry_url("https://compiled.example/")
            .bootstrap("[sources.a]\nurl = \"https://x.example/a\"\n[sources.b]\nurl = \"https://x.example/b\"\n[sources.c]\nrepo = \"o/n\"\nname = \"c/c\"\n");
        let env = env()
            .variable("MY_APP_MODELS_REGISTRY_URL", "https://env.example/")
            .variable("MY_APP_MODELS_CONFIG", &overlay);
        let sources = open(&config, &env).unwrap().all();
        let shown: Vec<_> = sources
            .iter()
            .map(|source| (&*source.identity().key, source.label(), source.kind()))
            .collect();
        assert_eq!(
            shown,
            [
                ("a", "a".to_owned(), SourceKind::CHUNKED),
                ("c", "c/c".to_owned(), SourceKind::REPOSITORY),
                ("d", "d".to_owned(), SourceKind::HUB),
                ("", "https://env.example/".to_owned(), SourceKind::CHUNKED),
            ]
        );
        std::fs::remove_dir_all(&dir).unwrap();
    }

    #[test]
    fn errors_name_the_file_and_the_key() {
        for (toml, expected) in [
            (
                "[source.a]\n",
                "the configuration of app has the unknown key 'source', did you mean 'sources'?",
            ),
            (
                "[sources.a]\nurls = \"x\"\n",
                "the configuration of app: sources.a has the unknown key 'urls', did you mean 'url'?",
            ),
            (
                "[sources.a]\n",
                "the configuration of app: sources.a has none of 'url', 'repo', 'hub', 'oci' and 'listing'",
            ),
            (
                "[sources.a]\nurl = \"https://x\"\nhub = \"https://y\"\n",
                "the configuration of app: sources.a has more than one of 'url', 'repo', 'hub', 'oci' and 'listing'",
            ),
            (
                "[sources.a]\nurl = \"ftp://x\"\n",
                "the configuration of app: sources.a.url is not a usable URL",
            ),
            (
                "[sources.a]\nurl = \"https://x\"\nname = \"../a\"\n",
                "the configuration of app: sources.a.name: the name '..' has a '.' or '..' component",
            ),
            (
                "[sources.a]\nurl = 1\n",
                "the configuration of app: sources.a is invalid",
            ),
            (
                "[sources.a]\nurl = \"https://x\"\n[sources.b]\nurl = \"https://y\"\nname = \"a\"\n",
                "the configuration of app: the sources 'a' and 'b' have the same name 'a'",
            ),
            ("= broken", "the configuration of app is not valid TOML"),
        ] {
            let error = open(&Config::new("app").bootstrap(toml), &env()).unwrap_err();
            assert_eq!(error.to_string(), expected);
            assert_eq!(error.code(), "CONFIG_ERROR");
        }
    }
}
