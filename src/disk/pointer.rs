//! The texts that tools put in the place of files which they keep elsewhere. To publish one would vouch for the text: whoever
//! pulls it would never learn that the file is missing.

use std::fmt::Display;

use crate::error::{Error, Result};

/// The longest pointer, in bytes (<https://github.com/git-lfs/git-lfs/blob/main/docs/spec.md>).
pub(crate) const MAX_POINTER_BYTES: usize = 1024;

/// The versions of Git LFS, the oldest last.
const LFS_VERSIONS: [&str; 3] = [
    "https://git-lfs.github.com/spec/v1",
    "https://hawser.github.com/spec/v1",
    "http://git-media.io/v/2",
];

/// Watches the bytes of a file go by, to tell whether the file is a pointer.
#[derive(Debug, Default)]
pub(crate) struct PointerCheck(Vec<u8>);

impl PointerCheck {
    /// Takes the next bytes, from the first on.
    pub(crate) fn update(&mut self, piece: &[u8]) {
        // One byte more tells that the file is longer.
        let room = MAX_POINTER_BYTES + 1 - self.0.len();
        self.0.extend(piece.iter().take(room));
    }

    /// Refuses the file if it is a pointer.
    ///
    /// # Errors
    /// [`ErrorKind::Registry`](crate::ErrorKind::Registry), at `name`.
    pub(crate) fn finish(&self, name: impl Display) -> Result<()> {
        match pointer(&self.0) {
            None => Ok(()),
            Some((tool, command)) => {
                let message = format!(
                    "the file is a pointer of {tool}: the file that it stands for was not fetched, which '{command}' does"
                );
                Err(Error::registry(name, message))
            }
        }
    }
}

/// Returns whose pointer a file is, and the command that fetches what it stands for.
fn pointer(file: &[u8]) -> Option<(&'static str, &'static str)> {
    if file.len() > MAX_POINTER_BYTES {
        return None;
    }
    let text = std::str::from_utf8(file).ok()?;
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    let lines: Vec<&str> = lines.collect();
    let (first, others) = lines.split_first()?;
    if first.starts_with("version ") {
        return is_lfs(first, others).then_some(("Git LFS", "git lfs pull"));
    }
    if first.starts_with("# xet version ") {
        return is_xet(others).then_some(("Xet", "git xet checkout"));
    }
    let key = first.strip_prefix("/annex/objects/")?;
    (others.is_empty() && key.contains("--") && !key.contains(char::is_whitespace))
        .then_some(("git-annex", "git annex get"))
}

/// `version`, then keys and values in the order of the keys, among them `oid` and `size`.
fn is_lfs(first: &str, others: &[&str]) -> bool {
    let version = first.trim_start_matches("version ");
    let mut has = [false; 2];
    let is_entry = |line: &&str| match line.split_once(' ') {
        Some(("oid", oid)) => {
            let digest = oid.strip_prefix("sha256:").unwrap_or(oid);
            has[0] = digest.len() == 64 && digest.bytes().all(|digit| digit.is_ascii_hexdigit());
            has[0]
        }
        Some(("size", size)) => {
            has[1] = size.parse::<u64>().is_ok();
            has[1]
        }
        Some((key, _)) => key.starts_with("ext-"),
        None => false,
    };
    LFS_VERSIONS.contains(&version) && others.iter().all(is_entry) && has == [true; 2]
}

/// `filesize = 5` and `hash = '…'`.
fn is_xet(lines: &[&str]) -> bool {
    let keys = lines
        .iter()
        .map(|line| line.split_once('=').map(|(key, _)| key.trim()));
    let keys: Vec<_> = keys.collect();
    let is_key = |key: &Option<&str>| matches!(key, Some("filesize" | "hash"));
    keys.contains(&Some("filesize")) && keys.contains(&Some("hash")) && keys.iter().all(is_key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pointers_are_told_from_texts_that_mention_them() {
        let oid = "4d7a214614ab2935c943f9e0ff69d22eadbb8f32b1258daaa5e2ca24d17e2393";
        let lfs = format!("version https://git-lfs.github.com/spec/v1\noid sha256:{oid}\nsize 9\n");
        let ext = lfs.replace("oid ", &format!("ext-0-foo sha256:{oid}\noid "));
        for (text, tool) in [
            (lfs.clone(), "Git LFS"),
            (lfs.replace('\n', "\r\n"), "Git LFS"),
            (lfs.trim_end().to_owned(), "Git LFS"),
            (ext, "Git LFS"),
            (lfs.replace("git-lfs", "hawser"), "Git LFS"),
            (
                format!("version http://git-media.io/v/2\noid {oid}\nsize 0\n"),
                "Git LFS",
            ),
            (
                format!("# xet version 0\nfilesize = 9\nhash = '{oid}'\n"),
                "Xet",
            ),
            (
                format!("/annex/objects/SHA256E-s9--{oid}.bin\n"),
                "git-annex",
            ),
        ] {
            let mut check = PointerCheck::default();
            text.bytes().for_each(|byte| check.update(&[byte]));
            let error = check.finish("m/w.bin").unwrap_err();
            assert_eq!(error.code(), "REGISTRY_ERROR");
            let message = error.to_string();
            assert!(
                message.contains(tool) && message.contains("m/w.bin"),
                "{message}"
            );
        }
        for text in [
            String::new(),
            format!("How a pointer looks:\n{lfs}"),
            format!("{lfs}This is how a pointer looks.\n"),
            format!("{lfs}{}", "\n".repeat(MAX_POINTER_BYTES)),
            lfs.replace("size 9", "size"),
            lfs.replace("sha256:4", "sha256:"),
            lfs.replace("git-lfs", "example"),
            "version https://git-lfs.github.com/spec/v1\n".to_owned(),
            "# xet version 0\n".to_owned(),
            "/annex/objects/ is a folder\n".to_owned(),
        ] {
            let mut check = PointerCheck::default();
            check.update(text.as_bytes());
            check.finish("x").unwrap();
        }
    }
}
