//! An index in shards, so that who looks up one model of a million fetches kilobytes.
//!
//! `models.json` then lists no models, and announces the documents that do:
//!
//! ```json
//! {"/shards": {"0": "<sha256>", "10": "<sha256>", "11": "<sha256>"}}
//! ```
//!
//! Each is at `models/<sha256>.json` and has the format of an index without shards. A model's *place* is the SHA-256 of
//! its `group/model` (of the model alone if it has no group), with the letters A to Z in lower case, written in binary
//! digits; it is in the shard whose prefix its place begins with. No prefix begins with another one, and a place without
//! a prefix has no models. All versions of a model are in one shard, and so are models that differ only in case.
//!
//! A shard is named by its digest, so it never changes and may be kept forever, and who has the announcement, which the
//! signature covers, can check all that follows. An announcement that came late leads to the models as they were then,
//! never to a mixture, for as long as the registry keeps the shards it names.
//!
//! No model has a name like `/shards`. A reader that does not know it reads an index of which no entry can be used.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Bound;

use serde::Deserialize;
use serde::de::{Deserializer, Error as _, MapAccess, Visitor};

use crate::digest::Digest;
use crate::error::{Error, Result};
use crate::url::Url;

/// The key under which an index announces its shards.
pub(crate) const ANNOUNCEMENT: &str = "/shards";
/// How many digits of a place count. A writer that splits full shards needs about 20 for a thousand million models.
pub(crate) const PLACE_DIGITS: usize = 64;
/// The most shards that are read: those of about sixty million versions.
const MAX_SHARDS: usize = 1 << 16;

/// The shards of an index, by the prefixes of the places in them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Shards(BTreeMap<String, Digest>);

/// `models.json` when it lists no models.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct AnnouncementWire {
    #[serde(rename = "/shards")]
    pub(super) shards: Shards,
}

/// Returns the place of a model of this path (`group/model`) among the shards, in binary digits.
pub(crate) fn place(path: &str) -> String {
    let digest = Digest::of(path.to_ascii_lowercase().as_bytes());
    let digits = digest.as_bytes().iter().take(PLACE_DIGITS / 8);
    digits.map(|byte| format!("{byte:08b}")).collect()
}

/// Where a registry has a shard.
pub(crate) fn shard_urls(bases: &[Url], digest: &Digest) -> Vec<Url> {
    let path = shard_path(digest);
    bases.iter().map(|base| base.join(&path)).collect()
}

/// The folder of the shards in the registry.
pub(crate) const SHARDS: &str = "models";

/// The path of a shard in the registry.
pub(crate) fn shard_path(digest: &Digest) -> String {
    format!("{SHARDS}/{digest}.json")
}

/// The digest of a shard by its name in the folder of the shards; `None` if that is no name of one.
pub(crate) fn shard_named(name: &str) -> Option<Digest> {
    let digest = name.strip_suffix(".json")?.parse::<Digest>().ok()?;
    shard_path(&digest).ends_with(name).then_some(digest)
}

impl Shards {
    /// The shard that models of this path are in, and its prefix; `None` when there are no such models.
    pub(crate) fn of_model(&self, path: &str) -> Option<(&str, Digest)> {
        let place = place(path);
        let shard = (0..=place.len()).find_map(|length| self.0.get_key_value(&place[..length]));
        shard.map(|(prefix, digest)| (prefix.as_str(), *digest))
    }

    /// All of them with their prefixes, in the order of these.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, Digest)> {
        self.0
            .iter()
            .map(|(prefix, digest)| (prefix.as_str(), *digest))
    }

    /// The shards that an index announces; `None` if it is none that announces some.
    pub(crate) fn announced(json: &[u8]) -> Option<Self> {
        let read = serde_json::from_slice(json);
        read.ok().map(|AnnouncementWire { shards }| shards)
    }

    /// The index that announces them.
    pub(crate) fn announcement(&self) -> Result<Vec<u8>> {
        let mut json = format!("{{\"{ANNOUNCEMENT}\":").into_bytes();
        serde_json::to_writer(&mut json, &self.0)
            .map_err(|error| Error::internal(error.to_string()))?;
        json.extend(b"}\n");
        Ok(json)
    }

    /// The prefix of the shard that a model of this path belongs to, which there may not be yet.
    pub(crate) fn prefix_for(&self, path: &str) -> String {
        if let Some((prefix, _)) = self.of_model(path) {
            return prefix.to_owned();
        }
        let place = place(path);
        let is_free = |prefix: &&str| {
            let mut later = self
                .0
                .range::<str, _>((Bound::Included(*prefix), Bound::Unbounded));
            !later
                .next()
                .is_some_and(|(other, _)| other.starts_with(prefix))
        };
        let mut prefixes = (0..place.len()).map(|length| &place[..length]);
        prefixes.find(is_free).unwrap_or(&place).to_owned()
    }

    pub(crate) fn insert(&mut self, prefix: String, digest: Digest) {
        self.0.insert(prefix, digest);
    }

    pub(crate) fn remove(&mut self, prefix: &str) -> Option<Digest> {
        self.0.remove(prefix)
    }

    /// Checks that every place has at most one shard.
    fn check(&self) -> Result<(), String> {
        let mut before: Option<&str> = None;
        for prefix in self.0.keys() {
            let is_binary = prefix.bytes().all(|byte| matches!(byte, b'0' | b'1'));
            if !is_binary || prefix.len() > PLACE_DIGITS {
                let prefix = prefix.escape_debug();
                return Err(format!("the prefix of a shard is '{prefix}'"));
            }
            // In the order of prefixes, what begins with one comes next to it.
            if let Some(before) = before.filter(|before| prefix.starts_with(before)) {
                return Err(format!(
                    "the shards '{before}' and '{prefix}' have the same places"
                ));
            }
            before = Some(prefix);
        }
        Ok(())
    }
}

impl<'de> Deserialize<'de> for Shards {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Announcement)
    }
}

struct Announcement;

impl<'de> Visitor<'de> for Announcement {
    type Value = Shards;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of the digests of shards")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Shards, A::Error> {
        let mut shards = Shards::default();
        while let Some((prefix, digest)) = map.next_entry::<String, Digest>()? {
            if shards.0.len() == MAX_SHARDS {
                return Err(A::Error::custom(format!("more than {MAX_SHARDS} shards")));
            }
            if shards.0.insert(prefix, digest).is_some() {
                return Err(A::Error::custom("two shards have one prefix"));
            }
        }
        shards.check().map_err(A::Error::custom)?;
        Ok(shards)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Shards, String> {
        let text = text.replace('#', &"a".repeat(64));
        serde_json::from_str(&text).map_err(|error| error.to_string())
    }

    #[test]
    fn a_model_is_in_the_shard_that_its_place_begins_with() {
        // printf g/m | sha256sum, the first byte in binary digits
        let place = place("g/m");
        assert_eq!(place.len(), 64);
        assert_eq!(place, super::place("G/M"));
        let first = u8::from_str_radix(&place[..8], 2).unwrap();
        assert_eq!(format!("{first:02x}"), &Digest::of(b"g/m").to_string()[..2]);
        let shards = read(&format!(r##"{{"{}":"#"}}"##, &place[..3])).unwrap();
        assert_eq!(shards.of_model("g/m").unwrap().0, &place[..3]);
        let elsewhere = if place.starts_with('0') { "1" } else { "0" };
        let shards = read(&format!(r##"{{"{elsewhere}":"#"}}"##)).unwrap();
        assert_eq!(shards.of_model("g/m"), None);
        let all = read(r##"{"":"#"}"##).unwrap();
        assert_eq!(all.of_model("g/m").unwrap().0, "");
    }

    #[test]
    fn announcements_that_are_ambiguous_are_refused() {
        for (text, reason) in [
            (r##"{"0":"#","01":"#"}"##, "have the same places"),
            (r##"{"":"#","1":"#"}"##, "have the same places"),
            (r##"{"0":"#","00":"#","1":"#"}"##, "have the same places"),
            (r##"{"2":"#"}"##, "the prefix of a shard is '2'"),
            (r##"{"0/../1":"#"}"##, "the prefix of a shard"),
            (r##"{"0":"#","0":"#"}"##, "two shards have one prefix"),
            (r##"{"0":"no"}"##, "a SHA-256 digest has 64"),
            (r##"{"0":7}"##, "invalid type"),
            (r##"["0"]"##, "an object of the digests of shards"),
        ] {
            let error = read(text).unwrap_err();
            assert!(error.contains(reason), "{text}: {error}");
        }
        let long = "0".repeat(65);
        assert!(read(&format!(r##"{{"{long}":"#"}}"##)).is_err());
        let digests = (0..=MAX_SHARDS).map(|number| format!(r##""{number:017b}":"#""##));
        let many = format!("{{{}}}", digests.collect::<Vec<_>>().join(","));
        assert!(read(&many).unwrap_err().contains("more than 65536 shards"));
        assert_eq!(
            read(r##"{"0":"#","10":"#","11":"#"}"##)
                .unwrap()
                .iter()
                .count(),
            3
        );
    }
}
