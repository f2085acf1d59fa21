//! Where sources are, by kind.

use std::fmt;

use crate::error::{Error, ErrorKind, Result};
use crate::model::check_version;
use crate::relpath::{RelPath, check_component};
use crate::secret::Secret;
use crate::url::{InvalidUrl, Url, encode_path};

/// The kinds of source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum SourceKind {
    /// A static, content-addressed registry.
    Chunked,
    /// A Git-hosted repository that publishes a `models.toml`.
    Repository,
    /// The Hugging Face Hub or a mirror of it.
    Hub,
}

impl SourceKind {
    /// Returns the word that configuration and machine output use.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Chunked => "chunked",
            Self::Repository => "repository",
            Self::Hub => "hub",
        }
    }
}

impl fmt::Display for SourceKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One source after all layers: where it is and what its models' names begin with.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct SourceConfig {
    /// The key in `[sources]`; empty for the source given by a plain registry URL.
    pub key: String,
    /// What the names of its models begin with; empty for none.
    pub name: String,
    /// What it takes to reach it.
    pub place: SourcePlace,
    /// Who said so: a file's path, or a variable's name.
    pub(crate) origin: String,
}

impl SourceConfig {
    /// Describes a source.
    pub fn new(key: impl Into<String>, name: impl Into<String>, place: SourcePlace) -> Self {
        Self {
            key: key.into(),
            name: name.into(),
            place,
            origin: String::new(),
        }
    }
}

/// What it takes to reach a source, by kind.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum SourcePlace {
    /// A chunked registry and its mirrors, the first before the second.
    Chunked {
        /// The registry's folder and those of its mirrors; never empty.
        urls: Vec<Url>,
        /// The minisign key that its index must be signed with.
        public_key: Option<String>,
    },
    /// A Git-hosted repository.
    Repository(Box<RepositoryPlace>),
    /// The Hub.
    Hub {
        /// Its endpoint.
        endpoint: Url,
    },
}

impl From<RepositoryPlace> for SourcePlace {
    fn from(place: RepositoryPlace) -> Self {
        Self::Repository(Box::new(place))
    }
}

impl SourceConfig {
    /// Returns the kind.
    #[must_use]
    pub fn kind(&self) -> SourceKind {
        match self.place {
            SourcePlace::Chunked { .. } => SourceKind::Chunked,
            SourcePlace::Repository(_) => SourceKind::Repository,
            SourcePlace::Hub { .. } => SourceKind::Hub,
        }
    }

    /// Returns where it is, and then its mirrors, without credentials; never empty.
    #[must_use]
    pub fn locations(&self) -> Vec<String> {
        match &self.place {
            SourcePlace::Chunked { urls, .. } => urls.iter().map(Url::to_string).collect(),
            SourcePlace::Repository(place) => vec![place.repo.clone()],
            SourcePlace::Hub { endpoint } => vec![endpoint.to_string()],
        }
    }

    /// Returns what people call it: its name, its key, or its URL.
    #[must_use]
    pub fn label(&self) -> String {
        match (&self.name, &self.place) {
            (name, _) if !name.is_empty() => name.clone(),
            (_, SourcePlace::Chunked { urls, .. }) => {
                urls.first().map(Url::to_string).unwrap_or_default()
            }
            _ => self.key.clone(),
        }
    }
}

/// A Git-hosted repository whose models a `models.toml` lists, and how its server is spoken to.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct RepositoryPlace {
    /// `OWNER/NAME`.
    pub repo: String,
    /// The refs to sync: branches, tags, releases or commits. Empty for the default branch.
    pub refs: Vec<String>,
    /// The folder of `models.toml` where it is under version control, `.` for the top. Default: `.registry`.
    pub registry_path: String,
    /// The zip of a release that holds the files, where the registry does not say.
    pub asset: Option<String>,
    /// The server: web pages, releases and git itself. Default: `https://github.com`.
    pub server: Url,
    /// Its interface for programs, which limits how often it may be asked.
    pub api: Url,
    /// Where a file of a commit is, with `{repo}`, `{ref}` and `{path}`.
    pub raw: UrlTemplate,
    /// Where the zip of a commit is, with `{repo}` and `{ref}`; the first that answers counts.
    pub archives: Vec<UrlTemplate>,
}

/// GitHub's own server, where files and interface have hosts of their own.
const GITHUB: &str = "https://github.com";

impl RepositoryPlace {
    /// Describes a repository of GitHub, with its default branch.
    ///
    /// # Errors
    /// [`ErrorKind::Config`] when `repo` is not `OWNER/NAME`.
    pub fn github(repo: impl Into<String>) -> Result<Self> {
        let server = Url::parse(GITHUB).map_err(|error| Error::internal(error.to_string()))?;
        Self::at(server, repo)
    }

    /// Describes a repository of a server, with what follows from the server's URL.
    ///
    /// # Errors
    /// [`ErrorKind::Config`] when `repo` is not `OWNER/NAME`.
    pub fn at(server: Url, repo: impl Into<String>) -> Result<Self> {
        let place = Self {
            repo: repo.into(),
            refs: Vec::new(),
            registry_path: ".registry".to_owned(),
            asset: None,
            api: default_api(&server),
            raw: default_raw(&server),
            archives: Vec::new(),
            server,
        };
        let place = Self {
            archives: default_archives(&place.server, &place.api),
            ..place
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
                let message =
                    format!("raw: has no {{repo}}, so it serves '{own}' and not '{repo}'");
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
            let value = value.escape_debug();
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

pub(crate) fn is_github(server: &Url) -> bool {
    server.authority() == "github.com"
}

pub(crate) fn default_api(server: &Url) -> Url {
    match Url::parse("https://api.github.com") {
        Ok(api) if is_github(server) => api,
        _ => server.join("api/v3"),
    }
}

fn default_raw(server: &Url) -> UrlTemplate {
    UrlTemplate::new(if is_github(server) {
        "https://raw.githubusercontent.com/{repo}/{ref}/{path}".to_owned()
    } else {
        format!("{}/{{repo}}/raw/{{ref}}/{{path}}", base(server))
    })
}

/// The server's own archives first: those of the interface count against its limit.
fn default_archives(server: &Url, api: &Url) -> Vec<UrlTemplate> {
    vec![
        UrlTemplate::new(format!("{}/{{repo}}/archive/{{ref}}.zip", base(server))),
        UrlTemplate::new(format!("{}/repos/{{repo}}/zipball/{{ref}}", base(api))),
    ]
}

fn base(url: &Url) -> String {
    url.with_credentials()
        .expose()
        .trim_end_matches('/')
        .to_owned()
}

/// A URL with `{repo}`, `{ref}` and `{path}` in it; `Debug` does not show it, as it may carry a password.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UrlTemplate(Secret);

impl UrlTemplate {
    fn new(text: impl Into<String>) -> Self {
        Self(Secret::new(text))
    }

    /// Reads a template, which must be a URL once it is filled in.
    ///
    /// # Errors
    /// [`InvalidUrl`] as [`Url::parse`], and for a name in braces that is not known.
    pub fn parse(text: &str) -> Result<Self, InvalidUrl> {
        let template = Self::new(text.trim());
        let filled = template.text("o/n", "main", "file");
        if filled.contains(['{', '}']) {
            return Err(InvalidUrl::new(
                "a template knows {repo}, {ref} and {path} only",
            ));
        }
        Url::parse(&filled).map(|_| template)
    }

    /// Returns whether it has a part that is filled in.
    pub(crate) fn has(&self, part: &str) -> bool {
        self.0.expose().contains(part)
    }

    fn text(&self, repo: &str, reference: &str, path: &str) -> String {
        let parts = [("{repo}", repo), ("{ref}", reference), ("{path}", path)];
        let text = self.0.expose().to_owned();
        parts.iter().fold(text, |text, (part, value)| {
            text.replace(part, &encode_path(value))
        })
    }

    pub(crate) fn fill(&self, repo: &str, reference: &str, path: &str) -> Result<Url> {
        let text = self.text(repo, reference, path);
        Url::parse(&text).map_err(|error| {
            Error::from(ErrorKind::Config {
                message: format!("the template of a URL does not fit '{repo}' at '{reference}'"),
                source: Some(error.into()),
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_follow_from_the_server() {
        let github = RepositoryPlace::github("o/n").unwrap();
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
            "raw: has no {repo}, so it serves 'o/n' and not 'fork/n'"
        );
    }

    #[test]
    fn what_becomes_a_path_is_checked() {
        for bad in ["n", "", "../n", "o/..", "/o/n", "o//n", "o\\n"] {
            assert!(RepositoryPlace::github(bad).is_err(), "{bad:?}");
        }
        let place = RepositoryPlace::github("o/n").unwrap();
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
