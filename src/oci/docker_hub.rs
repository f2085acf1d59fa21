//! The names of Docker Hub, which has several for the same ([reference]).
//!
//! [reference]: https://github.com/distribution/reference/blob/main/normalize.go

/// The host of its registry.
pub(crate) const API_HOST: &str = "registry-1.docker.io";
/// What `docker login` keeps its credentials under, and asks helpers for.
pub(crate) const LOGIN_KEY: &str = "https://index.docker.io/v1/";
/// What people and the tools of containers call it.
pub(crate) const NAME: &str = "docker.io";

/// Returns the name that credentials of a host are kept under.
pub(crate) fn canonical(host: &str) -> &str {
    match host {
        API_HOST | "index.docker.io" => NAME,
        host => host,
    }
}
