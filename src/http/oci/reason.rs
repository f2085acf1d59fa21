//! Why a registry refuses something, in its own words ([specification]).
//!
//! [specification]: https://github.com/opencontainers/distribution-spec/blob/main/spec.md#error-codes

use serde::Deserialize;

use crate::http::reason::Reason;

/// How much of what a registry says is quoted.
const MAX_MESSAGE_CHARS: usize = 300;

#[derive(Deserialize)]
#[serde(untagged)]
enum RefusalWire {
    /// Registries.
    Errors {
        errors: Vec<ErrorWire>,
    },
    /// Token services: some as registries do, some as OAuth 2 does, some in words of their own.
    OAuth {
        error: String,
        #[serde(default)]
        error_description: Option<String>,
    },
    Details {
        details: String,
    },
    Message {
        message: String,
    },
}

#[derive(Deserialize)]
struct ErrorWire {
    #[serde(default)]
    code: Option<String>,
    #[serde(default)]
    message: Option<String>,
}

/// Reads the body of a refusal; `None` where it has no known form.
pub(super) fn read(body: &[u8]) -> Option<Reason> {
    let (code, message) = match serde_json::from_slice(body).ok()? {
        RefusalWire::Errors { errors } => {
            let first = errors.into_iter().next()?;
            (first.code, first.message)
        }
        RefusalWire::OAuth {
            error,
            error_description,
        } => (Some(error), error_description),
        RefusalWire::Details { details: message } | RefusalWire::Message { message } => {
            (None, Some(message))
        }
    };
    let short = |text: Option<String>| -> String {
        let text = text.unwrap_or_default();
        text.trim().chars().take(MAX_MESSAGE_CHARS).collect()
    };
    let (code, message) = (short(code), short(message));
    (!code.is_empty() || !message.is_empty()).then_some(Reason { code, message })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_are_read_in_all_their_forms() {
        for (body, expected) in [
            (
                r#"{"errors":[{"code":"DENIED","message":"requested access is denied","detail":[]},{}]}"#,
                Some("DENIED: requested access is denied"),
            ),
            (
                r#"{"errors":[{"code":"UNAUTHORIZED"}]}"#,
                Some("UNAUTHORIZED"),
            ),
            (
                r#"{"details":"incorrect username or password"}"#,
                Some("incorrect username or password"),
            ),
            (
                r#"{"error":"invalid_grant","error_description":"the token has expired"}"#,
                Some("invalid_grant: the token has expired"),
            ),
            (r#"{"message":" no "}"#, Some("no")),
            (r#"{"errors":[]}"#, None),
            (r#"{"errors":[{}]}"#, None),
            (r#"{"errors":"x"}"#, None),
            ("<html>", None),
            ("", None),
        ] {
            let actual = read(body.as_bytes()).map(|reason| reason.to_string());
            assert_eq!(actual.as_deref(), expected, "{body}");
        }
    }
}
