//! Signatures of requests, [version 4]: an HMAC over the request, with a key that is derived for one day, region and service.
//!
//! It is our own: the whole of it is below, while the libraries bring from 9 to 130 crates and sign URLs or are asynchronous.
//!
//! [version 4]: https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html

use std::fmt::Write as _;
use std::time::SystemTime;

use super::Keys;
use crate::digest::{Digest, Hasher};
use crate::secret::Secret;
use crate::time::rfc3339;
use crate::url::{Url, encode_strictly, percent_decode};

/// The block of SHA-256, in bytes ([FIPS 180-4](https://csrc.nist.gov/pubs/fips/180-4/upd1/final)).
const BLOCK_BYTES: usize = 64;

/// The header with the token of a session.
pub(super) const SESSION_TOKEN: &str = "x-amz-security-token";

/// What is signed. Proxies change some headers, so those are left out that change nothing of what a request does.
pub(super) struct Signable<'a> {
    pub(super) method: &'a str,
    /// Its path must be [encoded strictly](encode_strictly), as it is sent.
    pub(super) url: &'a Url,
    /// The headers to sign, with names in lower case.
    pub(super) headers: Vec<(&'static str, &'a str)>,
    /// Of what the request carries.
    pub(super) payload: Digest,
    /// Whether a header states the digest of the payload, as object stores require.
    pub(super) states_payload: bool,
}

/// What a signature is good for.
pub(super) struct Scope<'a> {
    pub(super) region: &'a str,
    pub(super) service: &'a str,
    pub(super) time: SystemTime,
}

/// Returns the headers that sign a request.
pub(super) fn sign(
    request: Signable<'_>,
    keys: &Keys,
    scope: &Scope<'_>,
) -> Vec<(&'static str, Secret)> {
    // `2013-05-24T00:00:00Z` without its punctuation.
    let time: String = rfc3339(scope.time).replace(['-', ':'], "");
    let date = &time[..8];
    let payload = request.payload.to_string();
    let mut headers = request.headers;
    headers.push(("host", request.url.authority()));
    headers.push(("x-amz-date", &time));
    if request.states_payload {
        headers.push(("x-amz-content-sha256", &payload));
    }
    if let Some(token) = &keys.session_token {
        headers.push((SESSION_TOKEN, token.expose()));
    }
    headers.sort_unstable();
    let names: Vec<&str> = headers.iter().map(|(name, _)| *name).collect();
    let names = names.join(";");

    let mut canonical = format!("{}\n", request.method);
    let (path, query) = (request.url.path(), canonical_query(request.url));
    // Writing to a string does not fail.
    let _ = write!(canonical, "{path}\n{query}\n");
    for (name, value) in &headers {
        let _ = writeln!(canonical, "{name}:{}", value.trim());
    }
    let _ = write!(canonical, "\n{names}\n{payload}");

    let (region, service) = (scope.region, scope.service);
    let credential = format!("{date}/{region}/{service}/aws4_request");
    let canonical = Digest::of(canonical.as_bytes());
    let text = format!("AWS4-HMAC-SHA256\n{time}\n{credential}\n{canonical}");
    let first = format!("AWS4{}", keys.secret_key.expose());
    let key = hmac(first.as_bytes(), date.as_bytes());
    let key = [region, service, "aws4_request"]
        .iter()
        .fold(key, |key, word| hmac(key.as_bytes(), word.as_bytes()));
    let signature = hmac(key.as_bytes(), text.as_bytes());
    let id = &keys.key_id;
    let authorization = format!(
        "AWS4-HMAC-SHA256 Credential={id}/{credential}, SignedHeaders={names}, Signature={signature}"
    );

    let mut signed = vec![
        ("authorization", Secret::new(authorization)),
        ("x-amz-date", Secret::new(time)),
    ];
    if request.states_payload {
        signed.push(("x-amz-content-sha256", Secret::new(payload)));
    }
    if let Some(token) = &keys.session_token {
        signed.push((SESSION_TOKEN, token.clone()));
    }
    signed
}

/// The parameters of a query, each encoded strictly, in order.
fn canonical_query(url: &Url) -> String {
    let query = url.query().unwrap_or_default();
    let parameters = query.split('&').filter(|parameter| !parameter.is_empty());
    let mut parameters: Vec<(String, String)> = parameters
        .map(|parameter| {
            let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
            let again = |text| encode_strictly(&percent_decode(text), b"");
            (again(name), again(value))
        })
        .collect();
    parameters.sort_unstable();
    let parameters = parameters.iter();
    let parameters: Vec<String> = parameters
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    parameters.join("&")
}

/// The message authentication code of [RFC 2104](https://www.rfc-editor.org/rfc/rfc2104) with SHA-256.
fn hmac(key: &[u8], message: &[u8]) -> Digest {
    let mut block = [0_u8; BLOCK_BYTES];
    match block.get_mut(..key.len()) {
        Some(begin) => begin.copy_from_slice(key),
        None => block[..32].copy_from_slice(Digest::of(key).as_bytes()),
    }
    let hash = |pad: u8, message: &[u8]| {
        let mut hasher = Hasher::default();
        hasher.update(&block.map(|byte| byte ^ pad));
        hasher.update(message);
        hasher.finish()
    };
    let inner = hash(0x36, message);
    hash(0x5c, inner.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::parse_rfc3339;

    fn keys(id: &str, secret: &str) -> Keys {
        Keys {
            key_id: id.into(),
            secret_key: Secret::new(secret),
            session_token: None,
            expires: None,
            origin: "a test".into(),
        }
    }

    fn signature(headers: &[(&'static str, Secret)]) -> String {
        let mut headers = headers.iter();
        let (_, authorization) = headers.find(|(name, _)| *name == "authorization").unwrap();
        authorization.expose().to_owned()
    }

    /// The test cases of [RFC 4231](https://www.rfc-editor.org/rfc/rfc4231), sections 4.2, 4.3 and 4.7: the last has a key
    /// longer than a block.
    #[test]
    fn codes_are_those_of_the_rfc() {
        for (key, message, expected) in [
            (
                [0x0b; 20].as_slice(),
                "Hi There",
                "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7",
            ),
            (
                b"Jefe",
                "what do ya want for nothing?",
                "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
            ),
            (
                &[0xaa; 131],
                "Test Using Larger Than Block-Size Key - Hash Key First",
                "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54",
            ),
        ] {
            assert_eq!(hmac(key, message.as_bytes()).to_string(), expected);
        }
    }

    /// The examples of [the documentation](https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html).
    #[test]
    fn signatures_are_those_of_the_documentation() {
        let keys = keys(
            "AKIAIOSFODNN7EXAMPLE",
            "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
        );
        let scope = Scope {
            region: "us-east-1",
            service: "s3",
            time: parse_rfc3339("2013-05-24T00:00:00Z").unwrap(),
        };
        for (method, path, headers, payload, expected) in [
            (
                "GET",
                "/test.txt",
                vec![("range", "bytes=0-9")],
                "",
                "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41",
            ),
            (
                "PUT",
                "/test%24file.text",
                vec![
                    ("date", "Fri, 24 May 2013 00:00:00 GMT"),
                    ("x-amz-storage-class", "REDUCED_REDUNDANCY"),
                ],
                "Welcome to Amazon S3.",
                "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd",
            ),
            (
                "GET",
                "/?lifecycle",
                vec![],
                "",
                "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543",
            ),
            (
                "GET",
                "/?prefix=J&max-keys=2",
                vec![],
                "",
                "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7",
            ),
        ] {
            let url = Url::parse(&format!("https://examplebucket.s3.amazonaws.com{path}")).unwrap();
            let request = Signable {
                method,
                url: &url,
                headers,
                payload: Digest::of(payload.as_bytes()),
                states_payload: true,
            };
            let signed = sign(request, &keys, &scope);
            let authorization = signature(&signed);
            assert!(authorization.ends_with(expected), "{path}: {authorization}");
            assert!(authorization.starts_with(
                "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request, SignedHeaders="
            ));
            assert!(!format!("{signed:?}").contains("AKIA"));
        }
    }

    /// The case `get-vanilla` of the [test suite](https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv.html).
    #[test]
    fn other_services_are_signed_without_the_digest_of_the_payload() {
        let keys = keys("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY");
        let scope = Scope {
            region: "us-east-1",
            service: "service",
            time: parse_rfc3339("2015-08-30T12:36:00Z").unwrap(),
        };
        let url = Url::parse("https://example.amazonaws.com/").unwrap();
        let request = Signable {
            method: "GET",
            url: &url,
            headers: Vec::new(),
            payload: Digest::of(b""),
            states_payload: false,
        };
        assert_eq!(
            signature(&sign(request, &keys, &scope)),
            "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, \
             SignedHeaders=host;x-amz-date, \
             Signature=5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"
        );
    }

    #[test]
    fn what_is_encoded_already_is_not_encoded_twice() {
        let url = Url::parse("https://h/?prefix=a%2Fb%20c&x=%2B&list-type=2").unwrap();
        assert_eq!(canonical_query(&url), "list-type=2&prefix=a%2Fb%20c&x=%2B");
        assert_eq!(
            encode_strictly("a b/ü+~".as_bytes(), b"/"),
            "a%20b/%C3%BC%2B~"
        );
    }
}
