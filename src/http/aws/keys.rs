//! Keys, and the form in which programs and services give them.

use std::time::{Duration, SystemTime};

use serde::Deserialize;

use crate::error::{Error, ErrorKind, Result};
use crate::secret::Secret;
use crate::time::parse_rfc3339;

/// The largest answer with keys, in bytes; those of AWS have up to 4 KiB, most of it the token of a session.
pub(super) const MAX_ANSWER_BYTES: u64 = 64 << 10;

/// The variables with the two parts of a key.
pub(super) const KEY_ID: &str = "AWS_ACCESS_KEY_ID";
pub(super) const SECRET_KEY: &str = "AWS_SECRET_ACCESS_KEY";

/// How messages call where the secret key came from, of a key that came from there.
pub(super) fn secret_beside(origin: &str) -> &str {
    match origin {
        KEY_ID => SECRET_KEY,
        one_place => one_place,
    }
}

/// What requests are signed with.
#[derive(Debug, Clone)]
pub(super) struct Keys {
    pub(super) key_id: String,
    pub(super) secret_key: Secret,
    pub(super) session_token: Option<Secret>,
    pub(super) expires: Option<SystemTime>,
    /// How messages call where they came from.
    pub(super) origin: String,
}

impl Keys {
    /// Creates keys; what cannot stand in a header is refused.
    ///
    /// # Errors
    /// [`ErrorKind::Config`] that names where they came from.
    pub(super) fn new(
        origin: impl Into<String>,
        key_id: &str,
        secret_key: &Secret,
        session_token: Option<&Secret>,
    ) -> Result<Self> {
        let origin = origin.into();
        let clean = |text: &str| text.trim().to_owned();
        let keys = Self {
            key_id: clean(key_id),
            secret_key: Secret::new(clean(secret_key.expose())),
            session_token: session_token.map(|token| Secret::new(clean(token.expose()))),
            expires: None,
            origin,
        };
        let token = keys.session_token.as_ref().map_or("-", Secret::expose);
        let texts = [&keys.key_id, keys.secret_key.expose(), token];
        let is_key = |text: &&str| !text.is_empty() && text.bytes().all(|c| c.is_ascii_graphic());
        if texts.iter().all(is_key) {
            return Ok(keys);
        }
        let origin = &keys.origin;
        Err(Error::config(format!(
            "the key in {origin} is empty or holds a character that no key has, such as a space"
        )))
    }

    /// Whether they can be used for this long.
    pub(super) fn lasts(&self, time: Duration) -> bool {
        let until = SystemTime::now() + time;
        self.expires.is_none_or(|expires| expires > until)
    }
}

/// The keys as programs and services write them.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct KeysWire {
    access_key_id: String,
    secret_access_key: String,
    /// Services call it so, programs `SessionToken`.
    #[serde(alias = "SessionToken")]
    token: Option<String>,
    expiration: Option<String>,
}

impl KeysWire {
    /// Reads an answer; `origin` names where it came from.
    pub(super) fn keys(json: &[u8], origin: &str) -> Result<Keys> {
        let unusable = |message: &str| {
            // What the parser says may quote a secret.
            Error::from(ErrorKind::Config {
                message: format!("{origin} {message}"),
                source: None,
            })
        };
        let wire: Self = serde_json::from_slice(json)
            .map_err(|_| unusable("gives no keys in the form of the AWS tools"))?;
        let token = wire
            .token
            .filter(|token| !token.is_empty())
            .map(Secret::new);
        let secret = Secret::new(wire.secret_access_key);
        let keys = Keys::new(origin, &wire.access_key_id, &secret, token.as_ref())?;
        let expires = wire.expiration.filter(|time| !time.is_empty());
        let expires = expires.map(|time| {
            let time = parse_rfc3339(&time);
            time.ok_or_else(|| unusable("gives keys that expire at no time that can be read"))
        });
        Ok(Keys {
            expires: expires.transpose()?,
            ..keys
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_read_and_garbage_shows_no_secret() {
        let keys = KeysWire::keys(
            br#"{"Version": 1, "AccessKeyId": "A", "SecretAccessKey": "s3cret", "SessionToken": "t", "Expiration": "2026-01-31T12:00:00Z"}"#,
            "the program",
        )
        .unwrap();
        assert_eq!(
            (keys.key_id.as_str(), keys.secret_key.expose()),
            ("A", "s3cret")
        );
        assert_eq!(keys.session_token.as_ref().unwrap().expose(), "t");
        assert!(keys.expires.is_some() && !keys.lasts(Duration::ZERO));
        assert!(!format!("{keys:?}").contains("s3cret"));
        for json in [
            r#"{"AccessKeyId": "A", "SecretAccessKey": 53}"#,
            r#"{"AccessKeyId": "A"}"#,
            r#"{"AccessKeyId": "A", "SecretAccessKey": "s3cret", "Expiration": "soon s3cret"}"#,
            r#"{"AccessKeyId": "A b", "SecretAccessKey": "s3cret"}"#,
            r#"{"AccessKeyId": "A", "SecretAccessKey": ""}"#,
            "s3cret",
        ] {
            let error = KeysWire::keys(json.as_bytes(), "the program").unwrap_err();
            assert_eq!(error.code(), "CONFIG_ERROR");
            assert!(error.to_string().contains("the program"));
            assert!(
                !format!("{error} {error:?}").contains("s3cret"),
                "{error:?}"
            );
        }
    }
}
