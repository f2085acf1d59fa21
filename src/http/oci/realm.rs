//! Token services: which a registry may name, and which may learn what its users are known by.

use crate::oci::docker_hub;
use crate::url::{Scheme, Url};

/// Token services that are on another host than their registry, by the host of the registry.
const SERVICES: [(&str, &str); 3] = [
    // https://distribution.github.io/distribution/spec/auth/token/
    (docker_hub::API_HOST, "auth.docker.io"),
    // https://docs.gitlab.com/administration/packages/container_registry/: the token service is GitLab itself.
    ("registry.gitlab.com", "gitlab.com"),
    // The challenge of https://registry.digitalocean.com/v2/, as its users report it.
    ("registry.digitalocean.com", "api.digitalocean.com"),
];

/// Alibaba Cloud has one token service for each region: `dockerauth.REGION.aliyuncs.com`, as its registries name it.
fn is_alibaba(registry: &str, host: &str) -> bool {
    let region = host.strip_prefix("dockerauth.");
    let region = region.and_then(|rest| rest.strip_suffix(".aliyuncs.com"));
    registry.ends_with(".aliyuncs.com") && region.is_some_and(|region| !region.contains('.'))
}

/// Returns whether a registry may name this token service at all. Over plain http, it has to be where the registry is, too:
/// else a registry could have a token fetched from a service inside of this network, and would be sent it.
pub(super) fn is_allowed(registry: &Url, realm: &Url) -> bool {
    match realm.scheme() {
        Scheme::Https => true,
        Scheme::Http => {
            let is_here = registry.is_loopback() && realm.is_loopback();
            registry.scheme() == Scheme::Http && (is_here || is_same_host(registry, realm))
        }
        Scheme::File | Scheme::S3 => false,
    }
}

/// Returns whether a token service may be sent the credentials of a registry. `is_named` says whether the user's own files
/// name a host.
pub(super) fn is_trusted(registry: &Url, realm: &Url, is_named: impl FnOnce(&str) -> bool) -> bool {
    let is_safe = realm.scheme() == Scheme::Https || realm.is_loopback();
    let (registry_host, host) = (registry.host_and_port().0, realm.host_and_port().0);
    is_allowed(registry, realm)
        && is_safe
        && (is_same_host(registry, realm)
            || SERVICES.contains(&(registry_host, host))
            || is_alibaba(registry_host, host)
            || is_named(realm.authority()))
}

fn is_same_host(one: &Url, other: &Url) -> bool {
    one.host_and_port().0 == other.host_and_port().0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_go_to_services_that_belong_to_the_registry() {
        for (registry, realm, expected) in [
            ("https://ghcr.io", "https://ghcr.io/token", [true, true]),
            ("https://h:5050", "https://h/jwt/auth", [true, true]),
            (
                "https://registry-1.docker.io",
                "https://auth.docker.io/token",
                [true, true],
            ),
            (
                "https://registry.gitlab.com",
                "https://gitlab.com/jwt/auth",
                [true, true],
            ),
            (
                "http://127.0.0.1:5000",
                "http://127.0.0.1:6000/token",
                [true, true],
            ),
            (
                "https://registry.cn-beijing.aliyuncs.com",
                "https://dockerauth.cn-hangzhou.aliyuncs.com/auth",
                [true, true],
            ),
            (
                "https://registry.cn-beijing.aliyuncs.com",
                "https://bucket.oss-cn-hangzhou.aliyuncs.com/auth",
                [true, false],
            ),
            // Another host, which the files of the user do not name, and which they do.
            ("https://h", "https://auth.docker.io/token", [true, false]),
            ("https://h", "https://h.evil.example/token", [true, false]),
            ("https://h", "https://named.example/token", [true, true]),
            (
                "http://127.0.0.1:5000",
                "http://localhost:6000/token",
                [true, false],
            ),
            // Plain http.
            ("https://h", "http://h/token", [false, false]),
            ("https://h", "http://127.0.0.1/token", [false, false]),
            ("https://h", "http://169.254.169.254/token", [false, false]),
            (
                "https://named.example",
                "http://named.example/token",
                [false, false],
            ),
            ("http://h", "http://h/token", [true, false]),
            ("http://h", "http://other/token", [false, false]),
            (
                "http://127.0.0.1:5000",
                "file:///etc/passwd",
                [false, false],
            ),
        ] {
            let [registry_url, realm_url] = [registry, realm].map(|url| Url::parse(url).unwrap());
            let is_named = |host: &str| host == "named.example";
            let actual = [
                is_allowed(&registry_url, &realm_url),
                is_trusted(&registry_url, &realm_url, is_named),
            ];
            assert_eq!(actual, expected, "{registry} {realm}");
        }
    }
}
