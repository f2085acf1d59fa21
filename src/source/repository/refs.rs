//! Which refs a repository has, as git itself advertises them ([smart HTTP], protocol version 0).
//!
//! Every Git host answers this, and none limits how often it may be asked.
//!
//! [smart HTTP]: https://git-scm.com/docs/http-protocol

use std::collections::BTreeMap;

use crate::digest::{is_commit_id, is_hex};
use crate::error::{Error, Result};
use crate::near::nearest;
use crate::url::Url;

/// The largest advertisement that is read, in bytes: about a million refs.
pub(super) const MAX_ADVERTISEMENT_BYTES: u64 = 64 << 20;

/// The refs of a repository.
#[derive(Debug, Default)]
pub(crate) struct Refs {
    default_branch: Option<String>,
    /// Full name → the commit that it leads to, in hexadecimal.
    refs: BTreeMap<String, String>,
    /// The hash of an annotated tag → the commit that it leads to.
    tags: BTreeMap<String, String>,
}

/// What a ref is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum RefKind {
    Tag,
    Other,
}

impl Refs {
    /// Reads an advertisement ([gitprotocol-pack], which is why packets other than refs may come); `url` names it in
    /// errors.
    ///
    /// [gitprotocol-pack]: https://git-scm.com/docs/gitprotocol-pack
    pub(super) fn parse(bytes: &[u8], url: &Url) -> Result<Self> {
        let malformed = || Error::registry(url, "the server does not respond like a git server");
        let mut refs = Self::default();
        let mut rest = bytes;
        while !rest.is_empty() {
            let length = rest.get(..4).and_then(|hex| std::str::from_utf8(hex).ok());
            let length = length.and_then(|hex| usize::from_str_radix(hex, 16).ok());
            let length = length.ok_or_else(malformed)?;
            // A packet of length 0 to 2 ends something, and has nothing in it.
            let (packet, after) = match length {
                0..3 => (&[][..], &rest[4..]),
                3 => return Err(malformed()),
                length => (rest.get(4..length).ok_or_else(malformed)?, &rest[length..]),
            };
            rest = after;
            let line = packet.strip_suffix(b"\n").unwrap_or(packet);
            match line {
                [] | [b'#', ..] | b"version 1" => {}
                b"version 2" => {
                    let message = "the server speaks only version 2 of git's protocol";
                    return Err(Error::registry(url, message));
                }
                [b'E', b'R', b'R', b' ', reason @ ..] => {
                    let reason = String::from_utf8_lossy(reason);
                    let message = format!("git's server refuses: {}", reason.trim().escape_debug());
                    return Err(Error::registry(url, message));
                }
                // Where the history of a shallow repository ends.
                [b's', b'h', b'a', b'l', b'l', b'o', b'w', b' ', id @ ..] => {
                    let is_id = std::str::from_utf8(id).is_ok_and(is_commit_id);
                    is_id.then_some(()).ok_or_else(malformed)?;
                }
                line => refs.add(line).ok_or_else(malformed)?,
            }
        }
        Ok(refs)
    }

    /// Reads `<hash> <name>`, on the first line with capabilities behind a NUL.
    fn add(&mut self, line: &[u8]) -> Option<()> {
        let mut halves = line.splitn(2, |byte| *byte == 0);
        let line = halves.next()?;
        let capabilities = String::from_utf8_lossy(halves.next().unwrap_or_default());
        for capability in capabilities.split(' ') {
            if let Some(branch) = capability.strip_prefix("symref=HEAD:refs/heads/") {
                self.default_branch = Some(branch.to_owned());
            }
        }
        let at = line.iter().position(|byte| *byte == b' ')?;
        let hash = std::str::from_utf8(&line[..at]).ok()?;
        if !is_commit_id(hash) {
            return None;
        }
        // A name that is not UTF-8 cannot be asked for; `capabilities^{}` says that there are no refs at all.
        if let Ok(name) = std::str::from_utf8(&line[at + 1..])
            && name != "capabilities^{}"
        {
            let hash = hash.to_ascii_lowercase();
            match name.strip_suffix("^{}") {
                None => _ = self.refs.insert(name.to_owned(), hash),
                // The commit of an annotated tag stands behind the tag.
                Some(tag) => {
                    let tag = self.refs.insert(tag.to_owned(), hash.clone());
                    self.tags.extend(tag.map(|tag| (tag, hash)));
                }
            }
        }
        Some(())
    }

    pub(crate) fn default_branch(&self) -> Option<&str> {
        self.default_branch.as_deref()
    }

    /// The commit of a tag, a branch or a full name (`refs/heads/develop`, `pull/12/head`), in git's order.
    pub(super) fn resolve(&self, reference: &str) -> Option<(&str, RefKind)> {
        let names = [
            (format!("refs/tags/{reference}"), RefKind::Tag),
            (format!("refs/heads/{reference}"), RefKind::Other),
            (reference.to_owned(), RefKind::Other),
            (format!("refs/{reference}"), RefKind::Other),
        ];
        names
            .into_iter()
            .find_map(|(name, kind)| Some((self.refs.get(&name)?.as_str(), kind)))
    }

    /// The one commit that a ref leads to and whose hash, or whose annotated tag's, begins so.
    pub(super) fn abbreviated(&self, hash: &str) -> Option<&str> {
        let hash = hash.to_ascii_lowercase();
        let commits = self.refs.values().map(|commit| (commit, commit));
        let mut found = commits
            .chain(&self.tags)
            .filter(|(object, _)| object.starts_with(&hash))
            .map(|(_, commit)| commit);
        let first = found.next()?;
        found.all(|other| other == first).then_some(first.as_str())
    }

    /// Branches and tags that come near a mistyped name.
    pub(super) fn near(&self, reference: &str) -> Vec<String> {
        let names = self.refs.keys().filter_map(|name| {
            name.strip_prefix("refs/heads/")
                .or_else(|| name.strip_prefix("refs/tags/"))
        });
        nearest(reference, names)
    }
}

/// Whether it may be the beginning of one.
pub(super) fn may_be_hash(text: &str) -> bool {
    (7..64).contains(&text.len()) && is_hex(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: &str = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
    const B: &str = "abbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb";
    const C: &str = "cccccccccccccccccccccccccccccccccccccccc";

    fn url() -> Url {
        Url::parse("https://git.example.com/o/n/info/refs").unwrap()
    }

    fn packets(lines: &[&str]) -> Vec<u8> {
        let mut bytes = Vec::new();
        for line in lines {
            match *line {
                "" => bytes.extend_from_slice(b"0000"),
                line => {
                    bytes.extend_from_slice(format!("{:04x}{line}\n", line.len() + 5).as_bytes())
                }
            }
        }
        bytes
    }

    #[test]
    fn names_resolve_in_the_order_of_git() {
        let head = format!("{A} HEAD\0multi_ack symref=HEAD:refs/heads/develop agent=git/2");
        let bytes = packets(&[
            "# service=git-upload-pack",
            "",
            &head,
            &format!("{A} refs/heads/develop"),
            &format!("{A} refs/heads/v1"),
            &format!("{C} refs/tags/v1"),
            &format!("{B} refs/tags/v1^{{}}"),
            &format!("{B} refs/heads/feature/x"),
            &format!("{B} refs/pull/12/head"),
            "",
        ]);
        let refs = Refs::parse(&bytes, &url()).unwrap();
        assert_eq!(refs.default_branch(), Some("develop"));
        for (name, expected) in [
            ("develop", Some((A, RefKind::Other))),
            ("v1", Some((B, RefKind::Tag))),
            ("feature/x", Some((B, RefKind::Other))),
            ("refs/heads/develop", Some((A, RefKind::Other))),
            ("HEAD", Some((A, RefKind::Other))),
            ("pull/12/head", Some((B, RefKind::Other))),
            ("feature", None),
        ] {
            assert_eq!(refs.resolve(name), expected, "{name}");
        }
        assert_eq!(refs.abbreviated("ABBBBBB"), Some(B));
        assert_eq!(refs.abbreviated("a"), None, "two begin so");
        assert_eq!(refs.abbreviated("ccccccc"), Some(B), "of the tag itself");
        assert_eq!(refs.near("develp"), ["develop"]);
    }

    #[test]
    fn what_else_git_may_say_is_understood_or_shown() {
        let refs = format!("{A} refs/heads/main\0shallow symref=HEAD:refs/heads/main");
        let shallow = [
            format!("shallow {A}"),
            format!("shallow {}", "b".repeat(64)),
        ];
        let bytes = packets(&[
            "# service=git-upload-pack\n",
            "",
            "version 1",
            &refs,
            &shallow[0],
            &shallow[1],
            "",
        ]);
        let refs = Refs::parse(&bytes, &url()).unwrap();
        assert_eq!(refs.resolve("main"), Some((A, RefKind::Other)));
        assert_eq!(refs.default_branch(), Some("main"));
        // Sections may be delimited, and a response may have its own end.
        let ends = [&bytes[..], b"00010002"].concat();
        assert!(Refs::parse(&ends, &url()).is_ok());
        for (line, expected) in [
            ("ERR access denied\n", "git's server refuses: access denied"),
            (
                "version 2",
                "the server speaks only version 2 of git's protocol",
            ),
            (
                "shallow main",
                "the server does not respond like a git server",
            ),
            ("version 3", "the server does not respond like a git server"),
        ] {
            let error = Refs::parse(&packets(&["# service=git-upload-pack", "", line]), &url());
            let error = error.unwrap_err().to_string();
            assert!(error.starts_with(expected), "{line}: {error}");
        }
    }

    #[test]
    fn what_is_no_advertisement_is_refused() {
        for bytes in [
            &b"<!DOCTYPE html>"[..],
            b"0003",
            b"00",
            b"zzzz",
            b"ffff# short",
            b"000aa HEAD",
            b"0008abc\n",
        ] {
            assert!(Refs::parse(bytes, &url()).is_err(), "{bytes:?}");
        }
        let empty = packets(&["# service=git-upload-pack", ""]);
        assert!(
            Refs::parse(&empty, &url())
                .unwrap()
                .default_branch()
                .is_none()
        );
    }
}
