//! Tokens of the environment, and the places that each is meant for.

use base64::Engine as _;

use crate::config::{SourceConfig, SourcePlace, is_github};
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
pub(super) fn read(env: &Environment, hosts: &Hosts, sources: &[SourceConfig]) -> Vec<Token> {
    let mut tokens = of_repositories(env, hosts);
    tokens.extend(of_hub(env, sources));
    tokens.retain(|token| token.origin.scheme() == Scheme::Https || token.origin.is_loopback());
    tokens
}

fn of_repositories(env: &Environment, hosts: &Hosts) -> Vec<Token> {
    // The order is that of GitHub's own command-line tool.
    let Some(token) = env.first(&["GH_TOKEN", "GITHUB_TOKEN"]) else {
        return Vec::new();
    };
    // Git itself knows passwords only.
    let password =
        base64::engine::general_purpose::STANDARD.encode(format!("x-access-token:{token}"));
    let mut tokens = vec![
        Token::new(&hosts.server, format!("Basic {password}")),
        Token::new(&hosts.api, format!("Bearer {token}")),
    ];
    if let Ok(raw) = Url::parse("https://raw.githubusercontent.com")
        && is_github(&hosts.server)
    {
        tokens.push(Token::new(&raw, format!("Bearer {token}")));
    }
    tokens
}

/// The token of the Hub, for the endpoint of each of its sources: as the Hub's own tools find it.
fn of_hub(env: &Environment, sources: &[SourceConfig]) -> Vec<Token> {
    let endpoints: Vec<&Url> = sources
        .iter()
        .filter_map(|source| match &source.place {
            SourcePlace::Hub { endpoint } => Some(endpoint),
            _ => None,
        })
        .collect();
    if endpoints.is_empty() {
        return Vec::new();
    }
    // A mirror that wants a user and a password has them in its URL.
    let own = endpoints.iter().filter_map(|endpoint| {
        let authorization = endpoint.basic_authorization()?;
        Some(Token::new(endpoint, authorization.expose().to_owned()))
    });
    let mut tokens: Vec<Token> = own.collect();
    let in_file = || {
        let home = || Some(env.hub_home().ok()?.join("token"));
        let path = env.path("HF_TOKEN_PATH").or_else(home)?;
        std::fs::read_to_string(path).ok()
    };
    let token = env
        .get("HF_TOKEN")
        .map(str::to_owned)
        .or_else(in_file)
        .unwrap_or_default();
    let token = token.trim();
    if !token.is_empty() {
        let bearer = format!("Bearer {token}");
        tokens.extend(
            endpoints
                .iter()
                .map(|endpoint| Token::new(endpoint, bearer.clone())),
        );
    }
    tokens
}

impl Token {
    fn new(origin: &Url, authorization: String) -> Self {
        Self {
            origin: origin.clone(),
            authorization: Secret::new(authorization),
        }
    }
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
            let tokens = read(&env, &Hosts::read(&env).unwrap(), &[]);
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
