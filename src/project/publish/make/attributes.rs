//! What `.gitattributes` say that makes the archive of a repository differ from the files that its server serves.
//!
//! Git applies [attributes] when it checks a file out, and `git archive` does the same, but a server serves single files
//! as they were committed. Which line decides about a file is not worked out: one that any line may change is taken for
//! changed, and costs a request.
//!
//! [attributes]: https://git-scm.com/docs/gitattributes

use std::fs::File;
use std::io::Read;
use std::path::Path;

use crate::glob::Glob;
use crate::relpath::{below, shown};

/// The name of files with attributes, for their folder and those below it.
pub(super) const NAME: &str = ".gitattributes";
/// How much of such a file is read.
pub(super) const MAX_BYTES: u64 = 1 << 20;

/// Attributes that change the content of files; the value of some does not matter.
const CHANGING: [&str; 5] = [
    "eol=crlf",
    "ident",
    "export-subst",
    "working-tree-encoding=",
    "filter=",
];
/// The attribute of files that archives lack.
const LEFT_OUT: &str = "export-ignore";

/// The attributes of a repository.
#[derive(Debug)]
pub(super) struct Attributes {
    /// Which files may be changed.
    changed: Vec<Pattern>,
    /// The lines that leave files out of archives.
    left_out: Vec<String>,
    /// The attributes to look for: those above, and the names of macros that set them.
    changing: Vec<String>,
    leaving_out: Vec<String>,
}

#[derive(Debug)]
struct Pattern {
    /// The folder that it is about; empty for the top.
    folder: String,
    /// Whether it is about paths, and not about names.
    is_of_paths: bool,
    glob: Glob,
}

impl Default for Attributes {
    fn default() -> Self {
        Self {
            changed: Vec::new(),
            left_out: Vec::new(),
            changing: CHANGING.map(str::to_owned).to_vec(),
            leaving_out: vec![LEFT_OUT.to_owned()],
        }
    }
}

impl Attributes {
    /// Reads the attributes for the folder `root` of a work tree, and for those in it.
    pub(super) fn of_work_tree(top: &Path, root: &str, names: &[String]) -> Self {
        let above: Vec<&str> = root.split('/').filter(|it| !it.is_empty()).collect();
        let above = (0..above.len()).map(|depth| below(&above[..depth].join("/"), NAME));
        let is_one = |name: &&String| name.rsplit('/').next() == Some(NAME);
        let within = names.iter().filter(is_one).map(|name| below(root, name));
        let mut attributes = Self::default();
        for path in above.chain(within) {
            let mut text = Vec::new();
            let file = File::open(top.join(&path));
            let read = file.and_then(|file| file.take(MAX_BYTES).read_to_end(&mut text));
            if read.is_ok() {
                attributes.add_file(&path, &text);
            }
        }
        attributes
    }

    /// Adds the attributes in a file of the repository. That at its top comes first, since only it defines macros.
    pub(super) fn add_file(&mut self, path: &str, text: &[u8]) {
        let folder = path.strip_suffix(NAME).unwrap_or_default();
        self.add(folder.trim_end_matches('/'), &String::from_utf8_lossy(text));
    }

    fn add(&mut self, folder: &str, text: &str) {
        for line in text.lines().map(str::trim) {
            let mut words = line.split_whitespace();
            let Some(pattern) = words.next().filter(|word| !word.starts_with('#')) else {
                continue;
            };
            let names: Vec<&str> = words.collect();
            let changes = names.iter().any(|name| is_one_of(&self.changing, name));
            let leaves_out = names.iter().any(|name| is_one_of(&self.leaving_out, name));
            if let Some(name) = pattern.strip_prefix("[attr]") {
                self.changing.extend(changes.then(|| name.to_owned()));
                self.leaving_out.extend(leaves_out.then(|| name.to_owned()));
                continue;
            }
            self.changed
                .extend(changes.then(|| Pattern::new(folder, pattern)));
            self.left_out.extend(leaves_out.then(|| line.to_owned()));
        }
    }

    /// Says in a sentence what archives leave out.
    pub(super) fn note(&self) -> Option<String> {
        let lines: Vec<String> = self.left_out.iter().map(|line| shown(line)).collect();
        let lines = lines.join("', '");
        (!lines.is_empty()).then(|| {
            format!(
                "the archive leaves files out that models may need, as its {NAME} say: '{lines}'"
            )
        })
    }

    /// Returns whether an archive may have other content for a file, by its path in the repository.
    pub(super) fn may_change(&self, path: &str) -> bool {
        self.changed.iter().any(|pattern| pattern.matches(path))
    }
}

fn is_one_of(attributes: &[String], name: &str) -> bool {
    let is = |known: &String| known == name || known.ends_with('=') && name.starts_with(known);
    attributes.iter().any(is)
}

impl Pattern {
    fn new(folder: &str, pattern: &str) -> Self {
        // Quotes, escapes and sets of characters have rules of their own.
        let is_plain = !pattern.starts_with('"') && !pattern.contains(['\\', '[']);
        let pattern = if is_plain { pattern } else { "*" };
        let path = pattern.strip_prefix('/').unwrap_or(pattern);
        Self {
            folder: below(folder, ""),
            is_of_paths: pattern.contains('/'),
            glob: Glob::new(&path.replace("**/", "*")),
        }
    }

    fn matches(&self, path: &str) -> bool {
        let name = path.rsplit('/').next().unwrap_or_default();
        let below = path.strip_prefix(&*self.folder);
        below.is_some_and(|path| {
            self.glob
                .matches(if self.is_of_paths { path } else { name })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_that_an_archive_may_change() {
        for (line, changed, unchanged) in [
            ("*.dat text eol=crlf", "a.dat b/c.dat", "a.txt"),
            ("* text=auto eol=lf", "", "a"),
            ("  *.txt -text diff  ident", "a.txt", "a"),
            ("/a.txt export-subst", "a.txt", "b/a.txt"),
            (
                "b/*.txt working-tree-encoding=UTF-16",
                "b/a.txt",
                "a.txt c/b/a.txt",
            ),
            (
                "**/c/*.bin filter=lfs -text",
                "c/a.bin a/b/c/d.bin",
                "a/d.bin",
            ),
            ("a/**/b eol=crlf", "a/b a/x/y/b", "b"),
            ("a/** eol=crlf", "a/b a/x/y", "b"),
            ("\"a b.txt\" eol=crlf", "a b.txt", ""),
            ("a[[:space:]]b.txt eol=crlf", "a b.txt", ""),
            ("# * eol=crlf", "", "a"),
            ("* -ident !filter", "", "a"),
            ("[attr]dos eol=crlf\n*.bat dos", "a.bat", "a"),
            ("", "", "a"),
        ] {
            let mut attributes = Attributes::default();
            attributes.add("", line);
            let split = |paths: &'static str| match paths.contains("a b") {
                true => vec![paths],
                false => paths.split_whitespace().collect(),
            };
            for path in split(changed) {
                assert!(attributes.may_change(path), "{line}: {path}");
            }
            for path in split(unchanged) {
                assert!(!attributes.may_change(path), "{line}: {path}");
            }
        }
    }

    #[test]
    fn attributes_are_of_their_folder() {
        let mut attributes = Attributes::default();
        attributes.add("a/b", "*.txt eol=crlf\n/x/y ident\n");
        for (path, may_change) in [
            ("a/b/c.txt", true),
            ("a/b/c/d.txt", true),
            ("a/b/x/y", true),
            ("a/c.txt", false),
            ("a/bc.txt", false),
        ] {
            assert_eq!(attributes.may_change(path), may_change, "{path}");
        }
    }

    #[test]
    fn lines_that_leave_files_out() {
        let mut attributes = Attributes::default();
        attributes.add(
            "",
            "[attr]out export-ignore\n/doc out\n*.dat -export-ignore\n",
        );
        attributes.add("a", "b.dat text export-ignore\n");
        let note = attributes.note().unwrap();
        assert!(
            note.ends_with("'/doc out', 'b.dat text export-ignore'"),
            "{note}"
        );
        assert_eq!(Attributes::default().note(), None);
    }
}
