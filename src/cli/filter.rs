//! What `--filter` takes: a field, an operator and a value, such as `size>1GB`.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::str::FromStr;
use std::time::{Duration, SystemTime};

use serde_json::Value;

use crate::glob::Glob;
use crate::installed::{InstalledModel, PartialModel};
use crate::quantity::{ByteSize, TimeSpan};
use crate::remote::{LocalState, RemoteModel};
use crate::time::parse_rfc3339;
use crate::{Error, ModelName};

/// What a listed model is filtered and sorted by; `None` is unknown.
#[derive(Debug)]
pub(super) struct Facts<'a> {
    pub(super) name: &'a ModelName,
    pub(super) size: Option<u64>,
    /// When it was installed, written to or published.
    pub(super) since: Option<SystemTime>,
    model_type: Option<Cow<'a, str>>,
    /// The key.
    source: Option<&'a str>,
    status: &'static str,
}

impl<'a> From<&'a InstalledModel> for Facts<'a> {
    fn from(installed: &'a InstalledModel) -> Self {
        Self {
            name: installed.model.name(),
            size: Some(installed.total_bytes),
            since: Some(installed.installed_at),
            model_type: installed.model_type.as_deref().map(Cow::from),
            source: installed.source.as_deref(),
            status: installed.status.as_str(),
        }
    }
}

impl<'a> From<&'a PartialModel> for Facts<'a> {
    fn from(partial: &'a PartialModel) -> Self {
        Self {
            name: partial.model.name(),
            size: Some(partial.bytes_done),
            since: Some(partial.touched_at),
            model_type: partial.model_type.as_deref().map(Cow::from),
            source: partial.source.as_deref(),
            status: partial.status.as_str(),
        }
    }
}

impl<'a> From<&'a RemoteModel> for Facts<'a> {
    fn from(remote: &'a RemoteModel) -> Self {
        // Only the Hub states it.
        let metadata = remote.metadata.to_map();
        let modified = metadata.get("last_modified").and_then(Value::as_str);
        let model_type = metadata.get("type").and_then(Value::as_str);
        Self {
            name: remote.model.name(),
            size: remote.total_bytes,
            since: modified.and_then(parse_rfc3339),
            model_type: model_type.map(|text| text.to_owned().into()),
            source: Some(&remote.source),
            status: match remote.local {
                LocalState::Current => "installed",
                LocalState::Outdated => "update",
                _ => "absent",
            },
        }
    }
}

/// A condition that a listed model must meet.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Filter(Condition);

#[derive(Debug, Clone, PartialEq)]
enum Condition {
    Size(Operator, u64),
    Age(Operator, Duration),
    Text {
        field: Text,
        is_negated: bool,
        pattern: Glob,
    },
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Text {
    Name,
    Type,
    Source,
    Status,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Operator {
    Less,
    AtMost,
    Equal,
    NotEqual,
    AtLeast,
    More,
}

/// Those that begin with another one come first.
const OPERATORS: [(&str, Operator); 7] = [
    ("<=", Operator::AtMost),
    (">=", Operator::AtLeast),
    ("!=", Operator::NotEqual),
    ("==", Operator::Equal),
    ("<", Operator::Less),
    (">", Operator::More),
    ("=", Operator::Equal),
];

impl Operator {
    fn holds(self, order: Ordering) -> bool {
        match self {
            Self::Less => order.is_lt(),
            Self::AtMost => order.is_le(),
            Self::Equal => order.is_eq(),
            Self::NotEqual => order.is_ne(),
            Self::AtLeast => order.is_ge(),
            Self::More => order.is_gt(),
        }
    }
}

impl FromStr for Filter {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let expected = "fields are size, age, name, type, source and status, operators =, !=, <, <=, > \
                        and >=, as in size>1GB";
        let invalid = |what: &str| Error::argument(format!("{what}; {expected}"));
        let at = text.find(['<', '>', '=', '!']).unwrap_or(text.len());
        let (field, rest) = text.split_at(at);
        let found = OPERATORS
            .into_iter()
            .find_map(|(sign, operator)| Some((operator, rest.strip_prefix(sign)?.trim())));
        let (operator, value) = found.ok_or_else(|| invalid("an operator is missing"))?;
        if value.is_empty() {
            return Err(invalid("a value is missing"));
        }
        let field = field.trim();
        let of_text = match field {
            "size" => {
                let ByteSize(bytes) = value.parse()?;
                return Ok(Self(Condition::Size(operator, bytes)));
            }
            "age" => {
                let TimeSpan(span) = value.parse()?;
                return Ok(Self(Condition::Age(operator, span)));
            }
            "name" => Text::Name,
            "type" => Text::Type,
            "source" => Text::Source,
            "status" => Text::Status,
            unknown => return Err(invalid(&format!("there is no field '{unknown}'"))),
        };
        let is_negated = match operator {
            Operator::Equal => false,
            Operator::NotEqual => true,
            _ => {
                return Err(invalid(&format!(
                    "{field} is text, which is compared with = or !="
                )));
            }
        };
        Ok(Self(Condition::Text {
            field: of_text,
            is_negated,
            pattern: Glob::new(value),
        }))
    }
}

impl Filter {
    /// Returns whether a model meets the condition. What is unknown of it meets none.
    pub(super) fn matches(&self, facts: &Facts<'_>, now: SystemTime) -> bool {
        match &self.0 {
            Condition::Size(operator, bytes) => {
                let size = facts.size;
                size.is_some_and(|size| operator.holds(size.cmp(bytes)))
            }
            Condition::Age(operator, span) => facts.since.is_some_and(|since| {
                // What has yet to come is new.
                let age = now.duration_since(since).unwrap_or_default();
                operator.holds(age.cmp(span))
            }),
            Condition::Text {
                field,
                is_negated,
                pattern,
            } => {
                let text = match field {
                    Text::Name => Some(Cow::from(facts.name.to_string())),
                    Text::Type => facts.model_type.clone(),
                    Text::Source => facts.source.map(Cow::from),
                    Text::Status => Some(facts.status.into()),
                };
                text.is_some_and(|text| pattern.matches(&text) != *is_negated)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::installed::Status;
    use crate::{Digest, Metadata, ModelRef};

    #[test]
    fn a_model_is_compared_by_what_is_known_of_it() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000);
        let model = ModelRef::new("whisper", "tiny", "fp16").unwrap();
        let mut installed = InstalledModel::new(model.clone(), "/m".into(), Digest::of(b""));
        installed.total_bytes = 1_500_000_000;
        installed.installed_at = now - Duration::from_secs(40 * 86_400);
        installed.source = Some("weights".into());
        let mut partial = PartialModel::new(model.clone(), Status::Error);
        partial.bytes_done = 1000;
        partial.touched_at = now + Duration::from_secs(60);
        let mut offer = RemoteModel::new(model, "hf", Digest::of(b""));
        let json = r#"{"type": "speech", "last_modified": "2027-01-14T08:00:00.000Z"}"#;
        let metadata: Metadata = serde_json::from_str(json).unwrap();
        offer.metadata = (&metadata).into();
        for (filter, expected) in [
            ("size>1GB", [true, false, false]),
            ("size >= 1.5 GB", [true, false, false]),
            ("size<1GB", [false, true, false]),
            ("size=1000", [false, true, false]),
            ("size==1KB", [false, true, false]),
            ("size!=1KB", [true, false, false]),
            ("age>30d", [true, false, false]),
            ("age<=30d", [false, true, true]),
            ("age<1h", [false, true, false]),
            ("name=whisper/*", [true, true, true]),
            ("name=whisper", [false, false, false]),
            ("type=speech", [false, false, true]),
            ("type!=speech", [false, false, false]),
            ("source=weights", [true, false, false]),
            ("source!=weights", [false, false, true]),
            ("status=error", [false, true, false]),
            ("status!=error", [true, false, true]),
            ("status=absent", [false, false, true]),
        ] {
            let parsed: Filter = filter.parse().unwrap();
            let found = [
                parsed.matches(&(&installed).into(), now),
                parsed.matches(&(&partial).into(), now),
                parsed.matches(&(&offer).into(), now),
            ];
            assert_eq!(found, expected, "{filter}");
        }
    }

    #[test]
    fn what_is_wrong_with_a_filter_is_told() {
        for (text, expected) in [
            ("", "an operator is missing; "),
            ("size", "an operator is missing; "),
            ("size!1GB", "an operator is missing; "),
            (">1GB", "there is no field ''; "),
            ("colour=red", "there is no field 'colour'; "),
            ("size>", "a value is missing; "),
            ("size>big", "expected a number of bytes"),
            ("age>30", "expected a number and a unit"),
            ("type>a", "type is text, which is compared with = or !=; "),
        ] {
            let error = text.parse::<Filter>().unwrap_err().to_string();
            assert!(error.starts_with(expected), "{text}: {error}");
        }
        let error = "size".parse::<Filter>().unwrap_err().to_string();
        for word in [
            "size", "age", "name", "type", "source", "status", "!=", ">=",
        ] {
            assert!(error.contains(word), "{error}");
        }
    }
}
