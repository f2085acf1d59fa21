//! The sections of a markdown text.

use std::collections::HashMap;

/// The lines of each section, by its name in lower case; those before the first heading under the empty name.
#[derive(Debug)]
pub(super) struct Outline<'a>(HashMap<String, Vec<&'a str>>);

impl<'a> Outline<'a> {
    /// Splits a text at its second-level headings, without its fenced code blocks. Sections of the same name are joined.
    pub(super) fn of(text: &'a str) -> Self {
        let mut sections: HashMap<String, Vec<&str>> = HashMap::new();
        let mut section = sections.entry(String::new()).or_default();
        let mut open = None;
        for line in text.lines() {
            match (open, fence(line)) {
                (Some(opening), Some((marks, ""))) if marks.starts_with(opening) => open = None,
                (Some(_), _) => {}
                (None, Some((marks, _))) => open = Some(marks),
                (None, None) => match heading(line) {
                    Some(name) => section = sections.entry(name.to_ascii_lowercase()).or_default(),
                    None => section.push(line),
                },
            }
        }
        Self(sections)
    }

    /// Returns whether there is a section of this name.
    pub(super) fn has(&self, name: &str) -> bool {
        self.0.contains_key(&name.to_ascii_lowercase())
    }

    /// Returns the lines of the section of this name.
    pub(super) fn lines(&self, name: &str) -> impl Iterator<Item = &'a str> {
        let section = self.0.get(&name.to_ascii_lowercase());
        section.into_iter().flatten().copied()
    }
}

/// Returns the name in a second-level heading. In this notation, headings of other levels are comments.
fn heading(line: &str) -> Option<&str> {
    let rest = unindented(line)?.strip_prefix("##")?;
    let name = rest.trim().trim_end_matches('#').trim_end();
    let name = name.trim_end_matches(':').trim_end();
    (!rest.starts_with('#') && !name.is_empty()).then_some(name)
}

/// Splits a line that may start a code block (<https://spec.commonmark.org/0.31.2/#fenced-code-blocks>) into its marks and
/// what follows, such as the language of the code. If nothing follows, it may also end one.
fn fence(line: &str) -> Option<(&str, &str)> {
    let line = unindented(line)?.trim_end();
    let mark = line.chars().next().filter(|c| matches!(c, '`' | '~'))?;
    let info = line.trim_start_matches(mark);
    let marks = &line[..line.len() - info.len()];
    // Another backtick makes it a line of text with code in it.
    let is_text = mark == '`' && info.contains('`');
    (marks.len() >= 3 && !is_text).then_some((marks, info))
}

/// Returns a line without its indentation; `None` if that makes it code.
fn unindented(line: &str) -> Option<&str> {
    let rest = line.trim_start_matches(' ');
    (line.len() - rest.len() < 4).then_some(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headings_of_the_second_level_are_recognized() {
        for line in ["## Time", "##Time:", "  ##  Time : ", "## Time ##"] {
            assert_eq!(heading(line), Some("Time"), "{line}");
        }
        for line in [
            "# Time",
            "### Time",
            "    ## Time",
            "##",
            "## :",
            "a ## Time",
        ] {
            assert_eq!(heading(line), None, "{line}");
        }
    }

    #[test]
    fn fenced_code_is_omitted() {
        let text = "top\r\n## A\n```\n## B\n~~~\n````\n## C\nc\n~~~ gnn\nno\n``` \n~~~ x\n ~~~~\n## c:\nd\n```a`b";
        let outline = Outline::of(text);
        assert_eq!(outline.lines("").collect::<Vec<_>>(), ["top"]);
        assert!(outline.has("a") && !outline.has("B"));
        assert_eq!(outline.lines("C").collect::<Vec<_>>(), ["c", "d", "```a`b"]);
        assert!(!Outline::of("```\n## A").has("A"));
    }
}
