//! File names from registries, and the only way in which they become paths.
//!
//! A name is hostile until it has been checked. One that escapes its folder, or that some system takes for a different
//! name, is refused on every system: a model that installs on one installs on all.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::error::Error;

/// The relative path of a file in a model: components joined by `/`, each valid on every system.
///
/// ```
/// use modelrack::manifest::RelPath;
///
/// let path: RelPath = "onnx/model.onnx".parse()?;
/// assert_eq!(path.as_str(), "onnx/model.onnx");
/// assert!(path.components().eq(["onnx", "model.onnx"]));
///
/// assert!(RelPath::parse("../model.onnx").is_err());
/// assert!(RelPath::parse("con").is_err(), "a device on Windows");
/// # Ok::<(), modelrack::error::InvalidName>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String")]
pub struct RelPath(String);

/// Why a name is refused.
///
/// ```
/// use modelrack::ModelName;
///
/// let error = ModelName::parse("tiny@v1").unwrap_err();
/// assert_eq!(error.reason(), "has an '@'");
/// assert_eq!(error.to_string(), "the name 'tiny@v1' has an '@'");
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InvalidName {
    name: String,
    reason: &'static str,
}

impl InvalidName {
    pub(crate) fn new(name: &str, reason: &'static str) -> Self {
        Self {
            name: name.to_owned(),
            reason,
        }
    }

    /// Returns what is wrong with the name, as the predicate of a sentence about it: "has a backslash". [`InvalidName`] has
    /// an example.
    #[must_use]
    pub fn reason(&self) -> &'static str {
        self.reason
    }
}

impl fmt::Display for InvalidName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the name '{}' {}", shown(&self.name), self.reason)
    }
}

impl std::error::Error for InvalidName {}

impl From<InvalidName> for Error {
    fn from(error: InvalidName) -> Self {
        Self::invalid_ref(shown(&error.name), error.reason)
    }
}

/// Returns a name for a message: at most 80 characters of it, escaped.
pub(crate) fn shown(name: &str) -> String {
    name.chars().take(80).flat_map(char::escape_debug).collect()
}

/// Returns the first five of many names for a message, escaped, and how many more there are.
pub(crate) fn listed<S: AsRef<str>>(names: &[S]) -> String {
    const LISTED: usize = 5;
    let first = names.iter().take(LISTED);
    let first: Vec<String> = first
        .map(|name| name.as_ref().escape_debug().to_string())
        .collect();
    let first = first.join(", ");
    match names.len().saturating_sub(LISTED) {
        0 => first,
        more => format!("{first} and {more} more"),
    }
}

/// The longest path of a file in a model, in bytes: the limit of macOS (`PATH_MAX` is 1024) less the store's own folders.
const MAX_PATH_BYTES: usize = 700;
/// The longest component, in bytes: the limit of common file systems.
const MAX_COMPONENT_BYTES: usize = 255;

impl RelPath {
    /// Parses a path with `/` between its components.
    ///
    /// # Errors
    /// [`InvalidName`] if it is empty, absolute or too long, or if a component is empty, `.`, `..` or a Windows device,
    /// ends in a dot or space, or has a control character or one of `\ : * ? " < > |`.
    pub fn parse(text: &str) -> Result<Self, InvalidName> {
        let refuse = |reason| Err(InvalidName::new(text, reason));
        if text.is_empty() {
            return refuse("is empty");
        }
        if text.len() > MAX_PATH_BYTES {
            return refuse("is too long");
        }
        if text.starts_with('/') {
            return refuse("is an absolute path");
        }
        for component in text.split('/') {
            check_component(component, text)?;
            match component.chars().find(|c| r#":*?"<>|"#.contains(*c)) {
                None => {}
                Some(':') => return refuse("has a ':'"),
                Some(_) => return refuse("has one of * ? \" < > |"),
            }
        }
        Ok(Self(text.to_owned()))
    }

    /// Parses a path in an argument.
    #[cfg(feature = "author")]
    pub(crate) fn parse_argument(path: &str) -> Result<Self, Error> {
        let refuse = |error: InvalidName| Error::argument(error.to_string()).naming(path);
        Self::parse(path).map_err(refuse)
    }

    /// Returns the path with `/` between its components; [`RelPath`] has an example.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Joins the path to a folder of this system.
    pub(crate) fn below(&self, folder: &Path) -> PathBuf {
        let mut joined = folder.to_owned();
        joined.extend(self.components());
        joined
    }

    /// Returns the components, in order; never empty. [`RelPath`] has an example.
    pub fn components(&self) -> impl Iterator<Item = &str> {
        self.0.split('/')
    }
}

impl FromStr for RelPath {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, InvalidName> {
        Self::parse(text)
    }
}

impl AsRef<str> for RelPath {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for RelPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Checks the rules for every component of every name: of files, groups, models and versions.
pub(crate) fn check_component(component: &str, whole: &str) -> Result<(), InvalidName> {
    let refuse = |reason| Err(InvalidName::new(whole, reason));
    match component {
        "" => return refuse("has an empty component"),
        "." | ".." => return refuse("has a '.' or '..' component"),
        _ => {}
    }
    if component.len() > MAX_COMPONENT_BYTES {
        return refuse("has a component that is longer than 255 bytes");
    }
    if component.chars().any(|c| c.is_control() || is_invisible(c)) {
        return refuse("has a control character");
    }
    if component.contains('\\') {
        return refuse("has a backslash");
    }
    if component.ends_with(['.', ' ']) || component.starts_with(' ') {
        return refuse("has a component that ends with a dot or space, or starts with a space");
    }
    if is_device_name(component) {
        return refuse("has a component that Windows reserves for a device");
    }
    Ok(())
}

/// Returns a path inside a folder; an empty folder is the top.
pub(crate) fn below(folder: &str, path: &str) -> String {
    if folder.is_empty() {
        path.to_owned()
    } else {
        format!("{folder}/{path}")
    }
}

/// Returns the deepest folder that contains all files; empty for the top.
pub(crate) fn common_folder<'a>(paths: impl Iterator<Item = &'a str>) -> &'a str {
    let folder = |path: &'a str| path.rfind('/').map_or("", |at| &path[..at]);
    let shorter = |a: &'a str, b: &'a str| {
        let both = a.split('/').zip(b.split('/'));
        let same = both.take_while(|(a, b)| a == b);
        let end: usize = same.map(|(segment, _)| segment.len() + 1).sum();
        &a[..end.saturating_sub(1)]
    };
    paths.map(folder).reduce(shorter).unwrap_or_default()
}

/// Returns whether a character is invisible but changes how text is shown: direction marks, joiners, line separators.
pub(crate) fn is_invisible(c: char) -> bool {
    matches!(c, '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
}

/// Returns whether Windows takes a name for a device, whatever its extension: <https://learn.microsoft.com/windows/win32/fileio/naming-a-file>.
pub(crate) fn is_device_name(component: &str) -> bool {
    let stem = component.split('.').next().unwrap_or_default();
    let stem = stem.trim_end();
    // From `CON` to `CONOUT$`: a cheap test that most names fail.
    if !(3..=7).contains(&stem.len()) {
        return false;
    }
    let stem = stem.to_ascii_uppercase();
    match stem.as_str() {
        "CON" | "PRN" | "AUX" | "NUL" | "CONIN$" | "CONOUT$" => true,
        _ => {
            let port = stem.strip_prefix("COM").or(stem.strip_prefix("LPT"));
            let mut port = port.unwrap_or_default().chars();
            matches!(port.next(), Some('0'..='9' | '¹' | '²' | '³')) && port.next().is_none()
        }
    }
}

/// Checks that no two paths are the same file on some system, and that no path is a folder of another.
///
/// # Errors
/// [`InvalidName`] with the later of the two.
pub(crate) fn check_distinct<'a>(
    paths: impl IntoIterator<Item = &'a RelPath>,
) -> Result<(), InvalidName> {
    match collisions(paths).next() {
        Some((path, reason)) => Err(InvalidName::new(&path.0, reason)),
        None => Ok(()),
    }
}

/// Returns the paths that cannot be beside those before them, and why: without them, all are distinct.
pub(crate) fn collisions<'a>(
    paths: impl IntoIterator<Item = &'a RelPath>,
) -> impl Iterator<Item = (&'a RelPath, &'static str)> {
    // Each file and each folder above one, in lower case → its spelling, and whether it is a file.
    let mut seen: HashMap<String, (&str, bool)> = HashMap::new();
    paths.into_iter().filter_map(move |path| {
        let slashes = path.0.match_indices('/').map(|(at, _)| at);
        let ends = slashes.chain([path.0.len()]);
        let prefixes: Vec<_> = ends
            .map(|end| (&path.0[..end], end == path.0.len()))
            .map(|(prefix, is_file)| (prefix.to_lowercase(), (prefix, is_file)))
            .collect();
        let reason =
            prefixes
                .iter()
                .find_map(|(lower, (prefix, is_file))| match seen.get(lower)? {
                    (other, false) if other == prefix && !is_file => None,
                    (other, _) if other == prefix => {
                        Some("occurs twice, or as a file and as a folder")
                    }
                    _ => Some("differs from another only in case"),
                });
        if reason.is_none() {
            seen.extend(prefixes);
        }
        Some((path, reason?))
    })
}

/// Returns the lower-case forms that several names have: a system that ignores case would take those names for one.
pub(crate) fn twins(names: impl Iterator<Item = impl AsRef<str>>) -> HashSet<String> {
    let mut seen = HashSet::new();
    let lower = names.map(|name| name.as_ref().to_lowercase());
    lower.filter(|name| !seen.insert(name.clone())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_has_a_few_of_many_names() {
        let names = |count| -> Vec<String> { (0..count).map(|it| format!("out{it}")).collect() };
        assert_eq!(listed(&names(5)), "out0, out1, out2, out3, out4");
        assert_eq!(
            listed(&names(40)),
            "out0, out1, out2, out3, out4 and 35 more"
        );
    }

    #[test]
    fn takes_ordinary_names() {
        for good in [
            "a",
            "model.safetensors",
            "onnx/model_q4.onnx",
            ".gitattributes",
            "a b/c-d_e(1).bin",
            "日本/モデル",
            "..a",
            "com10",
            "console.log",
        ] {
            assert_eq!(RelPath::parse(good).unwrap().as_str(), good);
        }
    }

    #[test]
    fn refuses_hostile_names() {
        for bad in [
            "",
            "/etc/passwd",
            "..",
            "a/../b",
            "../a",
            "a/..",
            ".",
            "a//b",
            "a/",
            "C:/x",
            "C:x",
            "a\\b",
            "\\\\host\\share",
            "//host/share",
            "con",
            "CON.txt",
            "a/nul",
            "Aux.tar.gz",
            "com1",
            "LPT9.log",
            "COM¹",
            "conin$",
            "a.",
            "a ",
            " a",
            "a/b. /c",
            "a\0b",
            "a\nb",
            "\u{1b}[2J",
            "a\u{202e}b",
            "file.txt:stream",
            "a*",
            "a?",
            "\"",
            "<",
            ">",
            "|",
        ] {
            assert!(RelPath::parse(bad).is_err(), "{bad:?}");
        }
        assert!(RelPath::parse(&"a".repeat(256)).is_err());
        assert!(RelPath::parse(&"a/".repeat(400)).is_err());
    }

    #[test]
    fn refuses_names_that_meet_on_some_system() {
        let check = |names: &[&str]| {
            let paths: Vec<_> = names
                .iter()
                .map(|name| RelPath::parse(name).unwrap())
                .collect();
            collisions(&paths).next().is_none()
        };
        assert!(check(&["a/x", "a/y", "b"]));
        for bad in [
            &["a", "a"][..],
            &["a", "A"],
            &["a/x", "A/y"],
            &["a", "a/x"],
            &["a/x", "a"],
            &["É", "é"],
        ] {
            assert!(!check(bad), "{bad:?}");
        }
    }

    #[test]
    fn shows_a_hostile_name_escaped() {
        let error = RelPath::parse("a\u{1b}[2Jb").unwrap_err();
        assert_eq!(
            error.to_string(),
            r"the name 'a\u{1b}[2Jb' has a control character"
        );
    }

    #[test]
    fn the_common_folder_is_the_deepest_that_all_files_are_in() {
        for (paths, expected) in [
            (vec!["a/b/x", "a/b/c/y"], "a/b"),
            (vec!["a/b/x", "a/bc/y"], "a"),
            (vec!["x", "a/y"], ""),
            (vec!["a/x"], "a"),
            (vec!["x"], ""),
            (vec![], ""),
        ] {
            assert_eq!(common_folder(paths.iter().copied()), expected, "{paths:?}");
        }
    }
}
