//! Where a repository is, and how its server is spoken to.

use serde::Deserialize;

use crate::env::Environment;
use crate::error::{Error, Result};
use crate::model::check_version;
use crate::relpath::{RelPath, check_component};
use crate::source::Entry;
use crate::source::entry::parse_url;
use crate::source::template::UrlTemplate;
use crate::url::{Url, without_login};
#[cfg(feature = "author")]
use crate::{settings::Settings, source::entry::read_entries};

/// The keys of an entry that configures a repository.
pub(super) const KEYS: [&str; 8] = [
    "repo",
    "refs",
    "registry_path",
    "asset",
    "server",
    "api",
    "raw",
    "archive",
];

#[derive(Deserialize)]
struct EntryWire {
    repo: String,
    refs: Option<Vec<String>>,
    registry_path: Option<String>,
    asset: Option<String>,
    server: Option<String>,
    api: Option<String>,
    raw: Option<String>,
    archive: Option<String>,
}

/// The server that is meant when none is named.
const GITHUB: &str = "https://github.com";

/// The server that repositories are on when their configuration names none.
#[derive(Debug, Clone)]
pub(super) struct Host {
    pub(super) server: Url,
    pub(super) api: Url,
}

impl Host {
    /// Reads it from the environment. Default: GitHub.
    pub(super) fn read(env: &Environment) -> Result<Self> {
        let url = |name: &str| env.get(name).map(|text| parse_url(&text, name));
        let server = url("GITHUB_SERVER_URL").unwrap_or_else(|| Ok(Url::parse(GITHUB)?))?;
        let api = url("GITHUB_API_URL").unwrap_or_else(|| Ok(default_api(&server)))?;
        Ok(Self { server, api })
    }

    /// GitHub, whatever the environment says.
    pub(super) fn github() -> Result<Self> {
        let server = Url::parse(GITHUB)?;
        let api = default_api(&server);
        Ok(Self { server, api })
    }

    /// Describes a repository there.
    pub(super) fn place(&self, repo: &str) -> Result<RepositoryPlace> {
        Ok(RepositoryPlace::at(self.server.clone(), repo)?.with_api(self.api.clone()))
    }
}

/// A Git-hosted repository whose models a `models.toml` lists, and how its server is spoken to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RepositoryPlace {
    /// `OWNER/NAME`.
    pub(crate) repo: String,
    /// The refs to sync: branches, tags, releases or commits. Empty for the default branch.
    pub(crate) refs: Vec<String>,
    /// The folder of `models.toml` where it is under version control, `.` for the top. Default: `.registry`.
    pub(crate) registry_path: String,
    /// The zip of a release that holds the files, where the registry does not say.
    pub(crate) asset: Option<String>,
    /// The server: web pages, releases and git itself. Default: `https://github.com`.
    pub(crate) server: Url,
    /// Its interface for programs, which limits how often it may be asked.
    pub(crate) api: Url,
    /// Where a file of a commit is, with `{repo}`, `{ref}` and `{path}`.
    pub(crate) raw: UrlTemplate,
    /// Where the zip of a commit is, with `{repo}` and `{ref}`; the first that answers counts.
    pub(crate) archives: Vec<UrlTemplate>,
}

impl RepositoryPlace {
    /// Reads where a repository is, on `host` unless the entry names a server. Each place that is left out follows from the
    /// one before.
    pub(super) fn of_entry(entry: &Entry, host: Result<Host>) -> Result<Self> {
        let wire: EntryWire = entry.read()?;
        let named = |error: Error| Error::config(entry.at(&error.to_string()));
        let template = |text: &Option<String>, key: &str, needed: &[&str]| {
            let Some(text) = text else { return Ok(None) };
            let at = entry.at(key);
            let template = UrlTemplate::parse(text)
                .map_err(|error| Error::config_from(format!("{at} is not a usable URL"), error))?;
            match needed.iter().find(|part| !template.has(part)) {
                Some(part) => Err(Error::config(format!("{at} lacks {part}"))),
                None => Ok(Some(template.set_in(&at))),
            }
        };
        let place = match &wire.server {
            Some(server) => Self::at(entry.url("server", server)?, &*wire.repo),
            None => host?.place(&wire.repo),
        };
        let mut place = place.map_err(named)?;
        if let Some(api) = &wire.api {
            place = place.with_api(entry.url("api", api)?);
        }
        if let Some(raw) = template(&wire.raw, "raw", &["{ref}", "{path}"])? {
            place.raw = raw;
        }
        if let Some(archive) = template(&wire.archive, "archive", &["{ref}"])? {
            place.archives = vec![archive];
        }
        for reference in wire.refs.into_iter().flatten() {
            if !place.refs.contains(&reference) {
                place.refs.push(reference);
            }
        }
        if let Some(path) = wire.registry_path {
            place.registry_path = match path.trim_matches('/') {
                "" => ".".to_owned(),
                path => path.to_owned(),
            };
        }
        place.asset = wire.asset;
        place.check().map_err(named)?;
        Ok(place)
    }

    /// Describes a repository of a server, with what follows from the server's URL.
    ///
    /// # Errors
    /// [`ErrorKind::Config`](crate::ErrorKind::Config) when `repo` is not `OWNER/NAME`.
    pub(crate) fn at(server: Url, repo: impl Into<String>) -> Result<Self> {
        let api = default_api(&server);
        let place = Self {
            repo: repo.into(),
            refs: Vec::new(),
            registry_path: ".registry".to_owned(),
            asset: None,
            archives: default_archives(&server, &api),
            raw: default_raw(&server),
            api,
            server,
        };
        place.check()?;
        Ok(place)
    }

    /// The same for another interface than the server's default; the archives follow.
    pub(crate) fn with_api(self, api: Url) -> Self {
        Self {
            archives: default_archives(&self.server, &api),
            api,
            ..self
        }
    }

    /// The same settings for another repository, as for a fork.
    pub(crate) fn with_repo(&self, repo: &str) -> Result<Self> {
        let mut place = self.clone();
        if repo != self.repo {
            if !self.raw.has("{repo}") {
                let (own, repo) = (&self.repo, repo.escape_debug());
                let message = format!("raw: lacks {{repo}}, so it serves '{own}' and not '{repo}'");
                return Err(Error::config(message));
            }
            place.archives.retain(|archive| archive.has("{repo}"));
            repo.clone_into(&mut place.repo);
        }
        place.check()?;
        Ok(place)
    }

    /// Checks everything that becomes part of a URL or a path.
    pub(crate) fn check(&self) -> Result<()> {
        let refuse = |key: &str, value: &str, reason: &str| {
            let shown = without_login(value);
            let value = shown.as_deref().unwrap_or(value).escape_debug();
            Err(Error::config(format!("{key}: '{value}' {reason}")))
        };
        if RelPath::parse(&self.repo).is_err() || !self.repo.contains('/') {
            return refuse("repo", &self.repo, "is not OWNER/NAME");
        }
        for reference in &self.refs {
            if let Err(error) = check_version(reference) {
                return refuse("refs", reference, error.reason());
            }
        }
        match RelPath::parse(&self.registry_path) {
            Err(error) if self.registry_path != "." => {
                return refuse("registry_path", &self.registry_path, error.reason());
            }
            _ => {}
        }
        match &self.asset {
            Some(asset) => match check_component(asset, asset) {
                Err(error) => refuse("asset", asset, error.reason()),
                Ok(()) if asset.contains('/') => refuse("asset", asset, "has a slash"),
                Ok(()) => Ok(()),
            },
            None => Ok(()),
        }
    }

    /// Where git says which refs there are ([smart HTTP]): no limit on how often it is asked.
    ///
    /// [smart HTTP]: https://git-scm.com/docs/http-protocol
    pub(crate) fn advertisement_url(&self) -> Url {
        let refs = self.server.join(&self.repo).join("info/refs");
        refs.with_query("service=git-upload-pack")
    }

    pub(crate) fn release_url(&self, tag: &str, asset: &str) -> Url {
        let download = self.server.join(&self.repo).join("releases/download");
        download.join(tag).join(asset)
    }

    pub(crate) fn raw_url(&self, commit: &str, path: &str) -> Result<Url> {
        self.raw.fill(&self.repo, commit, path)
    }

    pub(crate) fn archive_urls(&self, commit: &str) -> Result<Vec<Url>> {
        let fill = |archive: &UrlTemplate| archive.fill(&self.repo, commit, "");
        self.archives.iter().map(fill).collect()
    }

    pub(crate) fn api_url(&self, path: &str) -> Url {
        self.api.join("repos").join(&self.repo).join(path)
    }
}

pub(super) fn is_github(server: &Url) -> bool {
    server.authority() == "github.com"
}

fn default_api(server: &Url) -> Url {
    match Url::parse("https://api.github.com") {
        Ok(api) if is_github(server) => api,
        _ => server.join("api/v3"),
    }
}

fn default_raw(server: &Url) -> UrlTemplate {
    match is_github(server) {
        true => UrlTemplate::new("https://raw.githubusercontent.com/{repo}/{ref}/{path}"),
        false => UrlTemplate::below(server, "{repo}/raw/{ref}/{path}"),
    }
}

/// The server's own archives first: those of the interface count against its limit.
fn default_archives(server: &Url, api: &Url) -> Vec<UrlTemplate> {
    vec![
        UrlTemplate::below(server, "{repo}/archive/{ref}.zip"),
        UrlTemplate::below(api, "repos/{repo}/zipball/{ref}"),
    ]
}

/// Describes a repository as a source configures it or, where none does, as the environment says.
#[cfg(feature = "author")]
pub(crate) fn place_of(
    repo: &str,
    settings: &Settings,
    env: &Environment,
) -> Result<RepositoryPlace> {
    for entry in read_entries(settings)? {
        if entry.is_of(&super::Kind) {
            let place = RepositoryPlace::of_entry(&entry, Host::read(env))?;
            if place.repo == repo {
                return Ok(place);
            }
        }
    }
    // Here it is the caller who names it.
    let place = Host::read(env)?.place(repo);
    place.map_err(|error| Error::argument(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn github(repo: &str) -> Result<RepositoryPlace> {
        let env = Environment::empty(crate::platform::System::Linux, "/");
        Host::read(&env).unwrap().place(repo)
    }

    #[test]
    fn urls_follow_from_the_server() {
        let github = github("o/n").unwrap();
        assert_eq!(
            github.raw_url("abc", "a b/x#y").unwrap().to_string(),
            "https://raw.githubusercontent.com/o/n/abc/a%20b/x%23y"
        );
        assert_eq!(
            github.api_url("releases/tags/v1").to_string(),
            "https://api.github.com/repos/o/n/releases/tags/v1"
        );
        assert_eq!(
            github.advertisement_url().expose(),
            "https://github.com/o/n/info/refs?service=git-upload-pack"
        );
        let server = Url::parse("https://git.example.com/sub/").unwrap();
        let own = RepositoryPlace::at(server, "group/below/n").unwrap();
        assert_eq!(
            own.release_url("v/1", "models.toml").to_string(),
            "https://git.example.com/sub/group/below/n/releases/download/v/1/models.toml"
        );
        assert_eq!(
            own.archive_urls("abc").unwrap()[1].to_string(),
            "https://git.example.com/sub/api/v3/repos/group/below/n/zipball/abc"
        );
        assert_eq!(
            own.with_repo("fork/n")
                .unwrap()
                .raw_url("r", "p")
                .unwrap()
                .to_string(),
            "https://git.example.com/sub/fork/n/raw/r/p"
        );
    }

    #[test]
    fn an_api_of_its_own_has_archives_and_a_named_archive_is_the_only_one() {
        let read = |keys: &str| {
            let toml = format!("[sources.s]\nrepo = \"o/n\"\n{keys}\n");
            let config = crate::Config::new("app").bootstrap(toml);
            let env = Environment::empty(crate::platform::System::Linux, "/no-such-home");
            let settings = crate::settings::Settings::read(&config, &env).unwrap();
            let entries = crate::source::entry::read_entries(&settings).unwrap();
            RepositoryPlace::of_entry(&entries[0], Host::read(&env)).unwrap()
        };
        let own =
            read("server = \"https://git.example.com\"\napi = \"https://git.example.com/own/\"");
        assert_eq!(own.api.to_string(), "https://git.example.com/own/");
        assert_eq!(own.archives.len(), 2, "the server's, and that of the API");
        let named = read("archive = \"https://git.example.com/zips/{repo}@{ref}.zip\"");
        assert_eq!(named.archives.len(), 1);
        assert_eq!(read("refs = [\"b\", \"a\", \"b\"]").refs, ["b", "a"]);
    }

    #[test]
    fn a_password_goes_where_it_belongs_and_is_not_shown() {
        let server = Url::parse("https://me:s3cret@git.example.com").unwrap();
        let mut place = RepositoryPlace::at(server, "o/n").unwrap();
        let urls = |place: &RepositoryPlace| {
            let mut urls = vec![place.raw_url("c", "p").unwrap(), place.advertisement_url()];
            urls.extend(place.archive_urls("c").unwrap());
            urls
        };
        for url in urls(&place) {
            assert!(url.basic_authorization().is_some(), "{url}");
        }
        place.raw = UrlTemplate::parse("https://cdn.example.com/{repo}/{ref}/{path}").unwrap();
        assert!(urls(&place)[0].basic_authorization().is_none());
        place.raw = UrlTemplate::parse("https://a:s3cret@cdn.example.com/{ref}/{path}").unwrap();
        assert!(urls(&place)[0].basic_authorization().is_some());
        assert!(!format!("{place:?}").contains("s3cret"), "{place:?}");
        let error = place.with_repo("fork/n").unwrap_err();
        assert_eq!(
            error.to_string(),
            "raw: lacks {repo}, so it serves 'o/n' and not 'fork/n'"
        );
    }

    #[test]
    fn what_becomes_a_path_is_checked() {
        for bad in ["n", "", "../n", "o/..", "/o/n", "o//n", "o\\n"] {
            assert!(github(bad).is_err(), "{bad:?}");
        }
        let place = github("o/n").unwrap();
        let refused = [
            RepositoryPlace {
                refs: vec!["a/../b".into()],
                ..place.clone()
            },
            RepositoryPlace {
                registry_path: "../x".into(),
                ..place.clone()
            },
            RepositoryPlace {
                asset: Some("../x.zip".into()),
                ..place
            },
        ];
        for place in refused {
            assert_eq!(
                place.check().unwrap_err().code(),
                "CONFIG_ERROR",
                "{place:?}"
            );
        }
        assert!(UrlTemplate::parse("https://h/{repo}/{branch}").is_err());
        assert!(UrlTemplate::parse("ftp://h/{repo}").is_err());
    }
}
