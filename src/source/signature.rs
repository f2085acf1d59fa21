//! The signature of an index, as [minisign](https://jedisct1.github.io/minisign/) writes it beside it, and the key for it.

use minisign_verify::{PublicKey, Signature};

use crate::error::{Error, Result};
use crate::http::call::Call;
use crate::http::{Failure, GetOptions};
use crate::url::Url;

/// The largest signature that is read, in bytes; real ones have about 300.
const MAX_SIGNATURE_BYTES: u64 = 4096;

/// Reads the public key of minisign; in the file that it writes, a comment comes first.
///
/// # Errors
/// [`InvalidArgument`](crate::ErrorKind::InvalidArgument) for anything else.
pub(crate) fn public_key(text: &str) -> Result<PublicKey> {
    let key = text.trim().lines().last().unwrap_or_default();
    PublicKey::from_base64(key.trim()).map_err(|_| {
        Error::argument(format!(
            "'{}' is not a public key of minisign, which has 56 characters and begins with RW",
            key.escape_debug()
        ))
    })
}

/// Fetches the signature beside an index, and reads the key for it.
pub(crate) fn signature(
    call: &Call,
    key: &str,
    url: &Url,
) -> Result<(PublicKey, Signature), Failure> {
    let place = url.beside(".minisig");
    let unsigned = |reason: &str| {
        let message = format!("the index is not signed as configured: {reason}");
        Failure::last(Error::registry(&place, message))
    };
    let key = public_key(key).map_err(|_| {
        let message = format!("the public_key configured for {url} is not a minisign key");
        Failure::last(Error::config(message))
    })?;
    let text = match call.body(&place, &GetOptions::default()) {
        Ok(mut body) => body.read_whole(MAX_SIGNATURE_BYTES, &call.cancel)?,
        Err(failure) if failure.error.is_missing() => {
            return Err(unsigned("there is no signature"));
        }
        Err(failure) => return Err(failure),
    };
    let text = String::from_utf8(text).map_err(|_| unsigned("the signature is not text"))?;
    let signature = Signature::decode(&text).map_err(|_| unsigned("the signature is malformed"))?;
    Ok((key, signature))
}
