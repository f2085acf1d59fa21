//! What a request is about, as far as access is concerned.

use crate::http::outgoing::Outgoing;

/// A repository, and what is done with it: registries hand out a token for each.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Area {
    /// The repository; empty for what belongs to none.
    pub(super) repository: String,
    pub(super) is_written: bool,
    /// The repository from which a blob is mounted.
    pub(super) from: Option<String>,
}

impl Area {
    /// What a request is about.
    pub(super) fn of(request: &Outgoing<'_>) -> Self {
        let url = request.url.expose();
        let query = url.split_once('?').map_or("", |(_, query)| query);
        let mut pairs = query.split('&').filter_map(|pair| pair.split_once('='));
        let from = pairs.find(|(name, _)| *name == "from");
        Self {
            repository: repository(request.url.path()).to_owned(),
            is_written: request.method.is_write(),
            from: from.map(|(_, name)| name.replace("%2F", "/")),
        }
    }

    /// The scopes of a token for it ([scopes]).
    ///
    /// [scopes]: https://distribution.github.io/distribution/spec/auth/scope/
    pub(super) fn scopes(&self) -> Vec<String> {
        if self.repository.is_empty() {
            return Vec::new();
        }
        let actions = if self.is_written { "pull,push" } else { "pull" };
        let own = format!("repository:{}:{actions}", self.repository);
        let from = self.from.as_ref();
        let from = from.map(|name| format!("repository:{name}:pull"));
        std::iter::once(own).chain(from).collect()
    }
}

/// The repository in a path such as `/v2/acme/llama/manifests/q4`; empty if there is none.
fn repository(path: &str) -> &str {
    let rest = path.strip_prefix("/v2/").unwrap_or_default();
    let kinds = ["/manifests/", "/blobs/", "/tags/", "/referrers/"];
    // A repository may be called `blobs`: the last one counts, and behind it are no slashes but those of uploads.
    let ends = kinds.iter().filter_map(|kind| rest.rfind(kind));
    ends.max().map_or("", |end| &rest[..end])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::transport::Method;
    use crate::url::Url;

    #[test]
    fn requests_are_about_repositories() {
        for (method, url, expected) in [
            (
                Method::Head,
                "/v2/acme/llama/manifests/q4",
                "repository:acme/llama:pull",
            ),
            (
                Method::Get,
                "/v2/a/blobs/b/tags/list?n=5",
                "repository:a/blobs/b:pull",
            ),
            (
                Method::Get,
                "/v2/tags/blobs/sha256:00",
                "repository:tags:pull",
            ),
            (
                Method::Post,
                "/v2/a/blobs/uploads/",
                "repository:a:pull,push",
            ),
            (
                Method::Post,
                "/v2/a/blobs/uploads/?mount=sha256:00&from=b%2Fc",
                "repository:a:pull,push repository:b/c:pull",
            ),
            (Method::Get, "/v2/_catalog", ""),
            (Method::Get, "/v2/", ""),
            (Method::Get, "/elsewhere/a/manifests/b", ""),
        ] {
            let url = Url::parse(&format!("https://h{url}")).unwrap();
            let area = Area::of(&Outgoing::new(method, &url));
            assert_eq!(area.scopes().join(" "), expected, "{url}");
        }
    }
}
