//! Where a registry is, and what its repositories are called.

use super::docker_hub;
use super::names::is_repository;
use crate::error::{Error, Result};
use crate::model::name_of_place;
use crate::relpath::below;
use crate::url::{Scheme, Url};

/// Where Docker Hub keeps repositories without an owner.
const DOCKER_HUB_OFFICIAL: &str = "library";

/// Registries that answer for millions of owners, and list their repositories to nobody.
const WITHOUT_CATALOGUE: [&str; 3] = [docker_hub::NAME, "ghcr.io", "public.ecr.aws"];

/// What the address of an OCI layout begins with.
pub(crate) const LAYOUT_SCHEME: &str = "oci-layout://";

/// Where a registry is, and the beginning of its repositories' names.
#[derive(Debug, Clone)]
pub(crate) struct RegistryPlace {
    /// What people call its host, with the port if there is one: `ghcr.io`, `docker.io`, `localhost:5000`. Of a layout, the
    /// name of the folder, or of the tar without its ending.
    pub(crate) host: String,
    /// Its interface, such as `https://registry-1.docker.io/v2`.
    pub(crate) api: Url,
    /// The beginning of the names of its repositories; may be empty.
    pub(crate) prefix: String,
}

impl RegistryPlace {
    /// Reads `https://HOST/PREFIX`. Plain http is for this machine, unless somebody said that it may be used.
    pub(crate) fn of_url(url: &Url, is_insecure: bool) -> Result<Self, &'static str> {
        match url.scheme() {
            Scheme::Https => {}
            Scheme::Http if is_insecure || url.is_loopback() => {}
            Scheme::Http => {
                return Err(
                    "is plain http, which anybody on the way can read and change; 'insecure = true' beside it accepts that",
                );
            }
            Scheme::File => return Err("is a folder, and no registry"),
            Scheme::S3 => return Err("is a bucket, and no registry"),
        }
        let prefix = url.path().trim_matches('/').to_owned();
        if !(prefix.is_empty() || is_repository(&prefix)) {
            return Err("has a path that is not the beginning of a repository's name");
        }
        let is_docker_hub = docker_hub::canonical(url.authority()) == docker_hub::NAME;
        let api = match is_docker_hub {
            true => Url::parse(&format!("https://{}", docker_hub::API_HOST))
                .map_err(|_| "is not a URL")?,
            false => url.of_server(),
        };
        let host = match is_docker_hub {
            true => docker_hub::NAME,
            false => url.authority(),
        };
        Ok(Self {
            host: host.to_owned(),
            api: api.join("v2"),
            prefix,
        })
    }

    /// Reads `oci-layout:///FOLDER` or `oci-layout:///FILE.tar`: what is in it is called like the folder or file, as a rule.
    pub(crate) fn of_layout(url: &str) -> Result<Self, &'static str> {
        let path = url.strip_prefix(LAYOUT_SCHEME).unwrap_or_default();
        let api = Url::parse(&format!("file://{path}"));
        let api = api.map_err(|_| "needs three slashes, such as oci-layout:///srv/models")?;
        let path = api.to_file_path();
        let name = path.as_deref().and_then(|path| path.file_name()?.to_str());
        let name = name.ok_or("is not a folder with a name")?;
        Ok(Self {
            host: name_of_place(name).to_owned(),
            api,
            prefix: String::new(),
        })
    }

    /// Whether it is a folder or tar on this machine.
    pub(crate) fn is_layout(&self) -> bool {
        self.api.scheme() == Scheme::File
    }

    /// Reads the `HOST` of an address such as `oci://HOST/acme/llama`. On this machine, registries speak plain http.
    pub(crate) fn of_host(host: &str) -> Result<Self> {
        let url = |scheme: &str| Url::parse(&format!("{scheme}://{host}"));
        let url = match url("http") {
            Ok(url) if url.is_loopback() => Ok(url),
            _ => url("https"),
        };
        // What people write before '@' may be a password.
        let shown = host.rsplit('@').next().unwrap_or_default();
        let refuse = |reason: String| Error::invalid_ref(format!("oci://{shown}"), reason);
        let url = url.map_err(|error| refuse(format!("is no host: {error}")))?;
        match url.basic_authorization() {
            None => Self::of_url(&url, false).map_err(|reason| refuse(reason.to_owned())),
            Some(_) => Err(Error::argument(format!(
                "{shown} was given with a user: log in with 'docker login' or 'podman login' instead"
            ))),
        }
    }

    /// What people write for it.
    pub(crate) fn location(&self) -> String {
        if self.is_layout() {
            return format!("{LAYOUT_SCHEME}{}", self.api.path().trim_end_matches('/'));
        }
        let scheme = match self.api.scheme() {
            Scheme::Http => "http",
            _ => "https",
        };
        let path = below(&self.host, &self.prefix);
        format!("{scheme}://{}", path.trim_end_matches('/'))
    }

    /// The repository of a model; `None` if none can have that name. Registries know no capitals, and models that come from
    /// elsewhere have them: which are meant follows from the small letters.
    pub(crate) fn repository(&self, path: &str) -> Option<String> {
        if self.is_layout() {
            return Some(path.to_owned());
        }
        let path = &path.to_ascii_lowercase();
        let name =
            match self.host == docker_hub::NAME && self.prefix.is_empty() && !path.contains('/') {
                true => below(DOCKER_HUB_OFFICIAL, path),
                false => below(&self.prefix, path),
            };
        is_repository(&name).then_some(name)
    }

    /// The path of the model in a repository; `None` if it is not below the beginning of names.
    pub(crate) fn path_of<'r>(&self, repository: &'r str) -> Option<&'r str> {
        match self.prefix.as_str() {
            "" => Some(repository),
            prefix => repository.strip_prefix(prefix)?.strip_prefix('/'),
        }
    }

    /// Whether it lists its repositories to nobody.
    pub(crate) fn has_no_catalogue(&self) -> bool {
        WITHOUT_CATALOGUE.contains(&self.host.as_str())
    }

    /// The address of something in a repository, such as `tags/list`.
    pub(crate) fn url(&self, repository: &str, rest: &str) -> Url {
        self.api.join(&format!("{repository}/{rest}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(url: &str, is_insecure: bool) -> Result<RegistryPlace, &'static str> {
        RegistryPlace::of_url(&Url::parse(url).unwrap(), is_insecure)
    }

    #[test]
    fn a_model_has_a_repository() {
        for (url, path, expected) in [
            (
                "https://ghcr.io/acme",
                "llama",
                Some("https://ghcr.io/v2/acme/llama/tags/list"),
            ),
            (
                "https://ghcr.io",
                "acme/llama",
                Some("https://ghcr.io/v2/acme/llama/tags/list"),
            ),
            (
                "https://ghcr.io/acme/",
                "a/b.c__d---e",
                Some("https://ghcr.io/v2/acme/a/b.c__d---e/tags/list"),
            ),
            (
                "http://localhost:5000",
                "m",
                Some("http://localhost:5000/v2/m/tags/list"),
            ),
            (
                "https://docker.io",
                "redis",
                Some("https://registry-1.docker.io/v2/library/redis/tags/list"),
            ),
            (
                "https://index.docker.io/ai",
                "gemma3",
                Some("https://registry-1.docker.io/v2/ai/gemma3/tags/list"),
            ),
            (
                "https://docker.io",
                "ai/gemma3",
                Some("https://registry-1.docker.io/v2/ai/gemma3/tags/list"),
            ),
            (
                "https://ghcr.io/acme",
                "Qwen/Qwen3-8B",
                Some("https://ghcr.io/v2/acme/qwen/qwen3-8b/tags/list"),
            ),
            ("https://ghcr.io", "a..b", None),
            ("https://ghcr.io", "a___b", None),
            ("https://ghcr.io", "-a", None),
            ("https://ghcr.io", "a//b", None),
            ("https://ghcr.io", "", None),
        ] {
            let place = place(url, false).unwrap();
            let found = place.repository(path);
            let found = found.map(|repository| place.url(&repository, "tags/list").to_string());
            assert_eq!(found.as_deref(), expected, "{url} {path}");
        }
        let acme = place("https://ghcr.io/acme", false).unwrap();
        assert_eq!(acme.path_of("acme/llama"), Some("llama"));
        assert_eq!(acme.path_of("acmes/llama"), None);
        assert_eq!(acme.location(), "https://ghcr.io/acme");
    }

    #[test]
    fn plain_http_stays_on_this_machine() {
        assert!(place("http://registry.example/acme", false).is_err());
        assert!(place("http://registry.example/acme", true).is_ok());
        assert!(place("http://127.0.0.1:5000", false).is_ok());
        assert!(place("file:///srv/models", true).is_err());
        assert!(place("https://ghcr.io/Acme", false).is_err());
        let host = |host| RegistryPlace::of_host(host).map(|place| place.api.to_string());
        assert_eq!(host("ghcr.io").unwrap(), "https://ghcr.io/v2");
        assert_eq!(host("localhost:5000").unwrap(), "http://localhost:5000/v2");
        assert_eq!(
            host("docker.io").unwrap(),
            "https://registry-1.docker.io/v2"
        );
        for (bad, code) in [
            ("", "INVALID_REF"),
            ("a b", "INVALID_REF"),
            ("ghcr.io:x", "INVALID_REF"),
            ("user:secret@ghcr.io", "INVALID_ARGUMENT"),
        ] {
            let error = host(bad).unwrap_err();
            assert_eq!(error.code(), code, "{bad}");
            assert!(!error.to_string().contains("secret"), "{error}");
        }
    }
}
