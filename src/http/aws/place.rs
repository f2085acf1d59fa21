//! Where a bucket is: the endpoint, the region, and how the URL of an object is made of them.

use super::profile::Profile;
use crate::env::Environment;
use crate::error::{Error, Result};
use crate::url::{Scheme, Url, encode_strictly, percent_decode};

/// The region where nothing names one: the oldest.
pub(super) const DEFAULT_REGION: &str = "us-east-1";

/// Returns the region that the environment or the profile names, else the default one.
pub(super) fn region(environment: &Environment, profile: &Profile) -> String {
    let variable = environment.first(&["AWS_REGION", "AWS_DEFAULT_REGION"]);
    let configured = || profile.text("region").map(str::to_owned);
    let region = variable.or_else(configured);
    region.unwrap_or_else(|| DEFAULT_REGION.into())
}

/// Returns whether a text can be the name of a region; servers tell some, and it becomes part of a host's name.
pub(super) fn is_region(text: &str) -> bool {
    let is_allowed = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'-';
    (1..=32).contains(&text.len())
        && text.bytes().all(is_allowed)
        && !text.starts_with('-')
        && !text.ends_with('-')
}

/// The domain of the services of a region.
pub(super) fn domain(region: &str) -> &'static str {
    match region.starts_with("cn-") {
        true => "amazonaws.com.cn",
        false => "amazonaws.com",
    }
}

/// Returns the configured endpoint of the object store, in [the order of the AWS tools][order]; `None` for AWS itself.
///
/// [order]: https://docs.aws.amazon.com/sdkref/latest/guide/feature-ss-endpoints.html
pub(super) fn endpoint(environment: &Environment, profile: &Profile) -> Result<Option<Url>> {
    let is_off = |text: Option<&str>| text.is_some_and(|text| text.eq_ignore_ascii_case("true"));
    if environment.flag("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS")
        || is_off(profile.text("ignore_configured_endpoint_urls"))
    {
        return Ok(None);
    }
    let variable = environment.first_set(&["AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"]);
    let found = variable.and_then(|name| Some((name.to_owned(), environment.get(name)?)));
    let of_profile = || {
        let text = profile.of_services("s3.endpoint_url");
        let text = text.or_else(|| profile.text("endpoint_url"))?;
        let name = profile.name.escape_debug();
        Some((
            format!("endpoint_url of the profile '{name}'"),
            text.to_owned(),
        ))
    };
    let Some((origin, text)) = found.or_else(of_profile) else {
        return Ok(None);
    };
    check_endpoint(&text, &origin).map(Some)
}

/// Reads the URL of an endpoint; `origin` names where it is configured.
pub(super) fn check_endpoint(text: &str, origin: &str) -> Result<Url> {
    let url = Url::parse(text);
    let url =
        url.map_err(|error| Error::config_from(format!("{origin} is not a usable URL"), error))?;
    match url.scheme() {
        Scheme::Http | Scheme::Https => Ok(url),
        _ => Err(Error::config(format!(
            "{origin} must start with https:// or http://"
        ))),
    }
}

/// Where the objects of a bucket are.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place<'a> {
    /// `None` for AWS itself.
    pub(super) endpoint: Option<&'a Url>,
    pub(super) region: &'a str,
}

impl Place<'_> {
    /// Returns where to request the object of an `s3://` URL, whose path is encoded so that it is signed as it is sent.
    pub(super) fn url_of(&self, object: &Url) -> Result<Url> {
        let bucket = object.authority();
        let key = encode_strictly(&percent_decode(object.path()), b"/");
        let query = object
            .query()
            .map_or(String::new(), |query| format!("?{query}"));
        let text = match self.endpoint {
            Some(endpoint) => {
                let base = endpoint.expose();
                format!("{}/{bucket}{key}{query}", base.trim_end_matches('/'))
            }
            None if !is_region(self.region) => {
                let region = self.region.escape_debug();
                return Err(Error::config(format!(
                    "'{region}' is not the name of a region ({object})"
                )));
            }
            None => {
                let (region, domain) = (self.region, domain(self.region));
                // The certificates are for one more label, so a bucket with dots in its name goes into the path.
                match is_label(bucket) {
                    true => format!("https://{bucket}.s3.{region}.{domain}{key}{query}"),
                    false => format!("https://s3.{region}.{domain}/{bucket}{key}{query}"),
                }
            }
        };
        Url::parse(&text).map_err(Error::from)
    }
}

/// Returns whether a bucket's name can be a label of a host's name.
fn is_label(bucket: &str) -> bool {
    let is_allowed = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'-';
    (3..=63).contains(&bucket.len()) && bucket.bytes().all(is_allowed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::platform::System;

    #[test]
    fn objects_have_the_address_of_their_store() {
        let own = Url::parse("http://127.0.0.1:9000/s3/").unwrap();
        let object = |text: &str| Url::parse(text).unwrap();
        for (endpoint, region, text, expected) in [
            (
                None,
                "eu-west-3",
                "s3://models/a b/c+d",
                "https://models.s3.eu-west-3.amazonaws.com/a%20b/c%2Bd",
            ),
            (
                None,
                "us-east-1",
                "s3://my.models/x",
                "https://s3.us-east-1.amazonaws.com/my.models/x",
            ),
            (
                None,
                "cn-north-1",
                "s3://models",
                "https://models.s3.cn-north-1.amazonaws.com.cn/",
            ),
            (
                Some(&own),
                "x",
                "s3://models/a%20b?list-type=2",
                "http://127.0.0.1:9000/s3/models/a%20b?list-type=2",
            ),
        ] {
            let place = Place { endpoint, region };
            assert_eq!(place.url_of(&object(text)).unwrap().expose(), expected);
        }
        let hostile = Place {
            endpoint: None,
            region: "evil.example/",
        };
        assert_eq!(
            hostile.url_of(&object("s3://models/x")).unwrap_err().code(),
            "CONFIG_ERROR"
        );
    }

    #[test]
    fn endpoint_and_region_are_those_of_the_aws_tools() {
        let dir = tempfile::tempdir().unwrap();
        let config = dir.path().join("config");
        std::fs::write(
            &config,
            "[default]\nregion = eu-west-3\nservices = mine\nendpoint_url = http://profile\n[services mine]\ns3 =\n  endpoint_url = http://services\n",
        )
        .unwrap();
        let none = Environment::empty(System::Linux, dir.path());
        let of = |env: &Environment| {
            let profile = Profile::read(env).unwrap();
            let url = endpoint(env, &profile).unwrap().map(|url| url.to_string());
            (region(env, &profile), url)
        };
        assert_eq!(of(&none), ("us-east-1".into(), None));
        let env = none.variable("AWS_CONFIG_FILE", &config);
        assert_eq!(
            of(&env),
            ("eu-west-3".into(), Some("http://services/".into()))
        );
        let env = env
            .variable("AWS_ENDPOINT_URL", "http://all")
            .variable("AWS_DEFAULT_REGION", "b");
        assert_eq!(of(&env), ("b".into(), Some("http://all/".into())));
        let env = env
            .variable("AWS_ENDPOINT_URL_S3", "http://s3")
            .variable("AWS_REGION", "a");
        assert_eq!(of(&env), ("a".into(), Some("http://s3/".into())));
        let off = env
            .clone()
            .variable("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "true");
        assert_eq!(of(&off).1, None);
        let wrong = env.variable("AWS_ENDPOINT_URL_S3", "file:///x");
        let error = endpoint(&wrong, &Profile::default()).unwrap_err();
        assert_eq!(
            error.to_string(),
            "AWS_ENDPOINT_URL_S3 must start with https:// or http://"
        );
    }
}
