//! What a registry asks for: the challenges of `WWW-Authenticate` ([RFC 9110], section 11.6.1).
//!
//! Registries write them in many ways: the scheme in capitals, values with and without quotes, several challenges in one
//! header, parameters that nobody knows. A scope such as `repository:x:pull,push` has a comma of its own.
//!
//! [RFC 9110]: https://www.rfc-editor.org/rfc/rfc9110

use crate::http::transport::Response;

/// One way in which a registry lets somebody in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Challenge {
    /// By user and password, with every request.
    Basic,
    /// By a token, which a service hands out.
    Bearer(BearerChallenge),
}

/// Which token is asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct BearerChallenge {
    /// The URL of the token service, as it was written.
    pub(super) realm: String,
    pub(super) service: Option<String>,
    /// What the token must be good for, in the order given; may be empty.
    pub(super) scopes: Vec<String>,
}

impl Challenge {
    /// Returns the best of a response's challenges that this crate can answer: a token rather than a password.
    pub(super) fn of(response: &Response) -> Option<Self> {
        let headers = response.headers.iter();
        let values = headers.filter(|(name, _)| name == "www-authenticate");
        let all: Vec<Self> = values
            .flat_map(|(_, value)| parse(value))
            .filter_map(|challenge| Self::known(&challenge))
            .collect();
        let bearer = all.iter().find(|it| matches!(it, Self::Bearer(_)));
        bearer.or(all.first()).cloned()
    }

    /// The challenge with these scopes, where it states none.
    pub(super) fn or_scopes(self, scopes: Vec<String>) -> Self {
        match self {
            Self::Bearer(bearer) if bearer.scopes.is_empty() => {
                Self::Bearer(BearerChallenge { scopes, ..bearer })
            }
            challenge => challenge,
        }
    }

    fn known(challenge: &Written) -> Option<Self> {
        let parameter = |name: &str| {
            let mut all = challenge.parameters.iter();
            let found = all.find(|(other, _)| other.eq_ignore_ascii_case(name));
            found
                .map(|(_, value)| value.trim())
                .filter(|value| !value.is_empty())
        };
        if challenge.scheme.eq_ignore_ascii_case("basic") {
            return Some(Self::Basic);
        }
        if !challenge.scheme.eq_ignore_ascii_case("bearer") {
            return None;
        }
        let scopes = parameter("scope").unwrap_or_default();
        Some(Self::Bearer(BearerChallenge {
            realm: parameter("realm")?.to_owned(),
            service: parameter("service").map(str::to_owned),
            scopes: scopes.split_ascii_whitespace().map(str::to_owned).collect(),
        }))
    }
}

/// A challenge as it is written.
#[derive(Debug, Default, PartialEq, Eq)]
struct Written {
    scheme: String,
    parameters: Vec<(String, String)>,
}

/// Reads the challenges of one header; what cannot be understood is passed over.
fn parse(value: &str) -> Vec<Written> {
    let mut challenges: Vec<Written> = Vec::new();
    let mut rest = value;
    loop {
        rest = rest.trim_start_matches(|c: char| c == ',' || c.is_ascii_whitespace());
        let word = word(rest);
        if word.is_empty() {
            // A character that has no meaning here.
            let mut characters = rest.chars();
            match characters.next() {
                Some(_) => rest = characters.as_str(),
                None => return challenges,
            }
            continue;
        }
        rest = &rest[word.len()..];
        match assigned(rest) {
            Some(after) => {
                let (value, after) = parameter_value(after);
                rest = after;
                // A parameter before any scheme belongs to nothing.
                if let Some(challenge) = challenges.last_mut() {
                    challenge.parameters.push((word.to_owned(), value));
                }
            }
            None => {
                challenges.push(Written {
                    scheme: word.to_owned(),
                    parameters: Vec::new(),
                });
                rest = &rest[token68(rest)..];
            }
        }
    }
}

/// The token that a text begins with.
fn word(text: &str) -> &str {
    let is_of_token = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
    let end = text.find(|c| !is_of_token(c)).unwrap_or(text.len());
    &text[..end]
}

/// Returns what follows the `=` that a text begins with, if it does.
fn assigned(text: &str) -> Option<&str> {
    text.trim_ascii_start().strip_prefix('=')
}

/// Returns the length of the single value that may follow a scheme, as in `Negotiate YII=`: nothing but the next challenge
/// may come behind it.
fn token68(text: &str) -> usize {
    let value = text.trim_ascii_start();
    let is_of_token68 = |c: char| c.is_ascii_alphanumeric() || "-._~+/".contains(c);
    let end = value.find(|c| !is_of_token68(c)).unwrap_or(value.len());
    let behind = value[end..].trim_start_matches('=');
    let is_last =
        behind.trim_ascii_start().is_empty() || behind.trim_ascii_start().starts_with(',');
    // Without white space in front, it is no value of the scheme.
    match end > 0 && is_last && value.len() < text.len() {
        true => text.len() - behind.len(),
        false => 0,
    }
}

/// Reads the value that a text begins with: in quotes, or up to the next comma or space. Some registries write URLs without
/// quotes.
fn parameter_value(text: &str) -> (String, &str) {
    let text = text.trim_ascii_start();
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find(|c: char| c == ',' || c.is_ascii_whitespace());
        let (value, rest) = text.split_at(end.unwrap_or(text.len()));
        return (value.to_owned(), rest);
    };
    let mut value = String::new();
    let mut characters = quoted.chars();
    while let Some(c) = characters.next() {
        match c {
            '"' => break,
            '\\' => value.extend(characters.next()),
            c => value.push(c),
        }
    }
    (value, characters.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn challenge(values: &[&str]) -> Option<Challenge> {
        let header = |value: &&str| ("www-authenticate".to_owned(), (*value).to_owned());
        Challenge::of(&Response {
            status: 401,
            headers: values.iter().map(header).collect(),
            body: Box::new(std::io::empty()),
        })
    }

    fn bearer(realm: &str, service: Option<&str>, scopes: &[&str]) -> Option<Challenge> {
        Some(Challenge::Bearer(BearerChallenge {
            realm: realm.to_owned(),
            service: service.map(str::to_owned),
            scopes: scopes.iter().map(|&scope| scope.to_owned()).collect(),
        }))
    }

    #[test]
    fn challenges_are_read_as_registries_write_them() {
        let hub = bearer(
            "https://auth.docker.io/token",
            Some("registry.docker.io"),
            &["repository:a/b:pull,push"],
        );
        for (value, expected) in [
            (
                r#"Bearer realm="https://auth.docker.io/token",service="registry.docker.io",scope="repository:a/b:pull,push""#,
                hub.clone(),
            ),
            (
                r#"BEARER  Scope="repository:a/b:pull,push" , unknown="x, Basic y", SERVICE = "registry.docker.io",Realm= "https://auth.docker.io/token",error="invalid_token""#,
                hub,
            ),
            (
                r#"Bearer realm="https://h/v2/token",service=h"#,
                bearer("https://h/v2/token", Some("h"), &[]),
            ),
            (
                r"bearer realm=https://h/token?a=b,service=h",
                bearer("https://h/token?a=b", Some("h"), &[]),
            ),
            (
                r#"Bearer realm="https://h/\"t\\",scope="" "#,
                bearer(r#"https://h/"t\"#, None, &[]),
            ),
            (
                r#"Bearer realm="https://h/t",scope="repository:a:pull,push  repository:b:pull""#,
                bearer(
                    "https://h/t",
                    None,
                    &["repository:a:pull,push", "repository:b:pull"],
                ),
            ),
            ("BASIC realm=\"Sonatype\"", Some(Challenge::Basic)),
            ("Basic", Some(Challenge::Basic)),
            (
                "Negotiate YIIx/+==, Basic realm=\"x\"",
                Some(Challenge::Basic),
            ),
            ("Negotiate, Basic", Some(Challenge::Basic)),
            (
                r#"Basic realm="r", charset="UTF-8", Bearer realm="https://h/t""#,
                bearer("https://h/t", None, &[]),
            ),
            // Unfinished, as after a limit of some proxy.
            (
                r#"Bearer realm="https://h/t"#,
                bearer("https://h/t", None, &[]),
            ),
            (
                r#"Bearer realm="https://h/t\"#,
                bearer("https://h/t", None, &[]),
            ),
            // A token from nowhere.
            ("Bearer service=\"x\"", None),
            ("Bearer realm=\"\"", None),
            ("Digest realm=\"x\", nonce=\"Basic\"", None),
            ("realm=\"https://h/t\"", None),
            ("=,;\"é\" \u{1f600}", None),
            ("", None),
        ] {
            assert_eq!(challenge(&[value]), expected, "{value}");
        }
    }

    #[test]
    fn a_token_is_preferred_to_a_password_in_whatever_order_they_come() {
        let token = r#"Bearer realm="https://h/t""#;
        let expected = bearer("https://h/t", None, &[]);
        assert_eq!(challenge(&["Basic realm=\"x\"", token]), expected);
        assert_eq!(challenge(&[token, "Basic realm=\"x\""]), expected);
        assert_eq!(challenge(&["Bearer x", "Basic"]), Some(Challenge::Basic));
        assert_eq!(challenge(&[]), None);
    }

    #[test]
    fn long_headers_are_read_to_their_end() {
        let most = 64 << 10;
        for (piece, expected) in [
            (",", 0),
            ("a ", most / 2 - 1),
            ("a=", 0),
            ("\\", 0),
            ("a,=\"", most / 4),
        ] {
            assert_eq!(
                parse(&piece.repeat(most / piece.len())).len(),
                expected,
                "{piece}"
            );
        }
    }
}
