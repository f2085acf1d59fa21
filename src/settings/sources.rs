//! `[sources]` of a configuration file.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::config::{RepositoryPlace, SourceConfig, SourcePlace, UrlTemplate, default_api};
use crate::env::Environment;
use crate::error::{Error, ErrorKind, Result};
use crate::model::{ModelName, nearest};
use crate::secret::Secret;
use crate::url::Url;

/// The servers that sources leave open, as the environment says.
#[derive(Debug, Clone)]
pub(crate) struct Hosts {
    /// The server of repositories that name none.
    pub(crate) server: Url,
    pub(crate) api: Url,
    /// What stands in for the Hub; looked at when a source is there.
    hub: Option<Secret>,
}

impl Hosts {
    pub(super) fn read(env: &Environment) -> Result<Self> {
        let (server, api) = ("GITHUB_SERVER_URL", "GITHUB_API_URL");
        let url = env.get(server).unwrap_or("https://github.com");
        let server = parse_url(url, server)?;
        let api = match env.get(api) {
            Some(url) => parse_url(url, api)?,
            None => default_api(&server),
        };
        Ok(Self {
            server,
            api,
            hub: env.get("HF_ENDPOINT").map(Secret::new),
        })
    }

    /// Where a source of the Hub is: what the environment puts in the Hub's place, or the mirror that the source names.
    fn endpoint(&self, configured: Url) -> Result<Url> {
        match &self.hub {
            Some(hub) if configured.authority() == "huggingface.co" => {
                parse_url(hub.expose(), "HF_ENDPOINT")
            }
            _ => Ok(configured),
        }
    }

    /// A repository there.
    pub(crate) fn place(&self, repo: &str) -> Result<RepositoryPlace> {
        Ok(RepositoryPlace::at(self.server.clone(), repo)?.with_api(self.api.clone()))
    }
}

/// The parser's words in one line, without what the file says there: a URL may carry a password.
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

const SOURCE_KEYS: [&str; 13] = [
    "url",
    "mirrors",
    "public_key",
    "name",
    "repo",
    "refs",
    "registry_path",
    "asset",
    "server",
    "api",
    "raw",
    "archive",
    "hub",
];

#[derive(Deserialize)]
struct SourceWire {
    url: Option<String>,
    #[serde(default)]
    mirrors: Vec<String>,
    public_key: Option<String>,
    name: Option<String>,
    repo: Option<String>,
    refs: Option<Vec<String>>,
    registry_path: Option<String>,
    asset: Option<String>,
    server: Option<String>,
    api: Option<String>,
    raw: Option<String>,
    archive: Option<String>,
    hub: Option<String>,
}

/// The keys that each kind of source has beside `name`; the first of them tells the kind.
const KIND_KEYS: [&[&str]; 3] = [
    &["url", "mirrors", "public_key"],
    &[
        "repo",
        "refs",
        "registry_path",
        "asset",
        "server",
        "api",
        "raw",
        "archive",
    ],
    &["hub"],
];

/// Reads the `[sources]` of one file over those of the files before it; `None` for a source that is turned off.
pub(super) fn read_sources(
    text: &str,
    origin: &str,
    hosts: &Hosts,
    sources: &mut BTreeMap<String, Option<SourceConfig>>,
) -> Result<()> {
    let table: toml::Table = text.parse().map_err(|error: toml::de::Error| {
        Error::from(ErrorKind::Config {
            message: format!("{origin} is no TOML"),
            source: Some(without_values(&error, text).into()),
        })
    })?;
    for (key, value) in table {
        if key != "sources" {
            return Err(unknown(origin, &key, ["sources"]));
        }
        let toml::Value::Table(entries) = value else {
            return Err(Error::config(format!("{origin}: 'sources' is no table")));
        };
        for (key, value) in entries {
            let source = read_source(&key, value, origin, hosts)?;
            sources.insert(key, source);
        }
    }
    Ok(())
}

fn read_source(
    key: &str,
    value: toml::Value,
    origin: &str,
    hosts: &Hosts,
) -> Result<Option<SourceConfig>> {
    let at = format!("{origin}: sources.{key}");
    let Some(table) = value.as_table() else {
        return Err(Error::config(format!("{at} is no table")));
    };
    if let Some(unknown_key) = table
        .keys()
        .find(|key| !SOURCE_KEYS.contains(&key.as_str()))
    {
        return Err(unknown(&at, unknown_key, SOURCE_KEYS));
    }
    let keys: Vec<String> = table.keys().cloned().collect();
    let wire: SourceWire = value.try_into().map_err(|error: toml::de::Error| {
        Error::from(ErrorKind::Config {
            message: format!("{at} cannot be read"),
            source: Some(without_values(&error, "").into()),
        })
    })?;
    if wire.refs.as_ref().is_some_and(Vec::is_empty) {
        return Ok(None);
    }
    let name = wire.name.clone().unwrap_or_else(|| key.to_owned());
    ModelName::parse(&name).map_err(|error| Error::config(format!("{at}.name: {error}")))?;
    let place = match (&wire.url, &wire.repo, &wire.hub) {
        (Some(url), None, None) => {
            let mut urls = vec![parse_url(url, &format!("{at}.url"))?];
            for (index, mirror) in wire.mirrors.iter().enumerate() {
                urls.push(parse_url(mirror, &format!("{at}.mirrors[{index}]"))?);
            }
            SourcePlace::Chunked {
                urls,
                public_key: wire.public_key,
            }
        }
        (None, Some(repo), None) => repository(repo, &wire, &at, hosts)?.into(),
        (None, None, Some(hub)) => SourcePlace::Hub {
            endpoint: hosts.endpoint(parse_url(hub, &format!("{at}.hub"))?)?,
        },
        (None, None, None) => {
            return Err(Error::config(format!(
                "{at} has none of 'url', 'repo' and 'hub'"
            )));
        }
        _ => {
            return Err(Error::config(format!(
                "{at} has more than one of 'url', 'repo' and 'hub'"
            )));
        }
    };
    let of_others = KIND_KEYS
        .iter()
        .filter(|kind| !keys.contains(&kind[0].to_owned()))
        .flat_map(|kind| kind.iter());
    if let Some(other) = of_others
        .into_iter()
        .find(|other| keys.iter().any(|key| key == *other))
    {
        return Err(Error::config(format!(
            "{at}.{other} does not go with a source of this kind"
        )));
    }
    Ok(Some(SourceConfig {
        key: key.to_owned(),
        name,
        place,
        origin: origin.to_owned(),
    }))
}

/// Reads where a repository is: each place that is not given follows from the one before.
fn repository(repo: &str, wire: &SourceWire, at: &str, hosts: &Hosts) -> Result<RepositoryPlace> {
    let url = |text: &Option<String>, key: &str| {
        let parse = |text: &String| parse_url(text, &format!("{at}.{key}"));
        text.as_ref().map(parse).transpose()
    };
    let template = |text: &Option<String>, key: &str, needed: &[&str]| {
        let Some(text) = text else { return Ok(None) };
        let template = UrlTemplate::parse(text).map_err(|error| {
            Error::from(ErrorKind::Config {
                message: format!("{at}.{key} is no usable URL"),
                source: Some(error.into()),
            })
        })?;
        match needed.iter().find(|part| !template.has(part)) {
            Some(part) => Err(Error::config(format!("{at}.{key} has no {part}"))),
            None => Ok(Some(template)),
        }
    };
    let named = |error: Error| Error::config(format!("{at}.{error}"));
    let place = match url(&wire.server, "server")? {
        Some(server) => RepositoryPlace::at(server, repo),
        None => hosts.place(repo),
    };
    let mut place = place.map_err(named)?;
    if let Some(api) = url(&wire.api, "api")? {
        place = place.with_api(api);
    }
    if let Some(raw) = template(&wire.raw, "raw", &["{ref}", "{path}"])? {
        place.raw = raw;
    }
    if let Some(archive) = template(&wire.archive, "archive", &["{ref}"])? {
        place.archives = vec![archive];
    }
    for reference in wire.refs.iter().flatten() {
        if !place.refs.contains(reference) {
            place.refs.push(reference.clone());
        }
    }
    if let Some(path) = &wire.registry_path {
        place.registry_path = match path.trim_matches('/') {
            "" => ".".to_owned(),
            path => path.to_owned(),
        };
    }
    place.asset.clone_from(&wire.asset);
    place.check().map_err(named)?;
    Ok(place)
}

fn unknown<const N: usize>(at: &str, key: &str, known: [&str; N]) -> Error {
    let near = nearest(key, known)
        .into_iter()
        .next()
        .map(|near| format!(", did you mean '{near}'?"))
        .unwrap_or_default();
    Error::config(format!(
        "{at} has the unknown key '{}'{near}",
        key.escape_debug()
    ))
}

pub(super) fn parse_url(text: &str, at: &str) -> Result<Url> {
    Url::parse(text).map_err(|error| {
        Error::from(ErrorKind::Config {
            message: format!("{at} is no usable URL"),
            source: Some(error.into()),
        })
    })
}
