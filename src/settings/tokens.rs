//! Tokens of the environment, and the places that each is meant for.

use base64::Engine as _;

use crate::config::is_github;
use crate::env::Environment;
use crate::secret::Secret;
use crate::settings::sources::Hosts;
use crate::url::{Scheme, Url};

/// A token and the one origin that it goes to.
#[derive(Debug, Clone)]
pub(crate) struct Token {
    pub(crate) origin: Url,
    /// The value of the `Authorization` header.
    pub(crate) authorization: Secret,
}

/// Reads the tokens. They go over https only, or stay on this machine.
pub(super) fn read(env: &Environment, hosts: &Hosts) -> Vec<Token> {
    // The order is that of GitHub's own command-line tool.
    let Some(token) = env.first(&["GH_TOKEN", "GITHUB_TOKEN"]) else {
        return Vec::new();
    };
    // Git itself knows passwords only.
    let password =
        base64::engine::general_purpose::STANDARD.encode(format!("x-access-token:{token}"));
    let to = |origin: &Url, authorization: String| Token {
        origin: origin.clone(),
        authorization: Secret::new(authorization),
    };
    let mut tokens = vec![
        to(&hosts.server, format!("Basic {password}")),
        to(&hosts.api, format!("Bearer {token}")),
    ];
    if let Ok(raw) = Url::parse("https://raw.githubusercontent.com")
        && is_github(&hosts.server)
    {
        tokens.push(to(&raw, format!("Bearer {token}")));
    }
    tokens.retain(|token| token.origin.scheme() == Scheme::Https || token.origin.is_loopback());
    tokens
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::platform::System;

    #[test]
    fn a_token_goes_to_the_hosts_it_is_meant_for() {
        let read_with = |server: Option<&str>| {
            let mut env = Environment::empty(System::Linux, "/").variable("GITHUB_TOKEN", "s3cret");
            if let Some(server) = server {
                env = env.variable("GITHUB_SERVER_URL", server);
            }
            let tokens = read(&env, &Hosts::read(&env).unwrap());
            assert!(!format!("{tokens:?}").contains("s3cret"));
            tokens
                .iter()
                .map(|token| token.origin.to_string())
                .collect::<Vec<_>>()
        };
        assert_eq!(
            read_with(None),
            [
                "https://github.com/",
                "https://api.github.com/",
                "https://raw.githubusercontent.com/"
            ]
        );
        assert_eq!(
            read_with(Some("https://git.example.com")),
            ["https://git.example.com/", "https://git.example.com/api/v3"]
        );
        assert!(read_with(Some("http://git.example.com")).is_empty());
    }
}
