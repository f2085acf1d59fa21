//! The sections of a markdown text.

/// The sections that are read. Their names may be in any case.
#[rustfmt::skip]
const SECTIONS: [&str; 13] = [
    "GNNSection", "GNNVersionAndFlags", "ModelName", "ModelAnnotation", "StateSpaceBlock", "Connections",
    "InitialParameterization", "ActInfOntologyAnnotation", "ModelParameters", "ModelVersion", "Version", "Footer",
    "Signature",
];

/// Follows a text line by line.
#[derive(Debug)]
pub(super) struct Outline {
    /// The section of the last line: empty before the first heading, `None` in a section that is not read.
    section: Option<&'static str>,
    /// The mark of the code block that the last line is in, and the number of these at its start.
    fence: Option<(char, usize)>,
}

/// What a line is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    /// The heading of a section that is read.
    Heading(&'static str),
    /// A line of such a section.
    Text(&'static str),
    /// Anything else, such as fenced code.
    Other,
}

impl Outline {
    /// Begins at the top of a text.
    pub(super) fn new() -> Self {
        Self {
            section: Some(""),
            fence: None,
        }
    }

    /// Takes the next line, and returns what it is. A section begins at a heading of the second level.
    pub(super) fn next(&mut self, line: &str) -> Role {
        match (self.fence, fence(line)) {
            (Some((mark, count)), Some((of_line, ""))) => {
                if of_line.starts_with(mark) && of_line.len() >= count {
                    self.fence = None;
                }
                Role::Other
            }
            (Some(_), _) => Role::Other,
            (None, Some((marks, _))) => {
                self.fence = marks.chars().next().map(|mark| (mark, marks.len()));
                Role::Other
            }
            (None, None) => match (heading(line), self.section) {
                (None, None) => Role::Other,
                (None, Some(section)) => Role::Text(section),
                (Some(name), _) => {
                    let mut known = SECTIONS.into_iter();
                    let known = known.find(|section| section.eq_ignore_ascii_case(name));
                    self.section = known;
                    known.map_or(Role::Other, Role::Heading)
                }
            },
        }
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
        let text = "top\r\n## Version\n```\n## Footer\n~~~\n````\n## ModelName\nc\n~~~ gnn\nno\n``` \n~~~ x\n ~~~~\n\
            ## modelname:\nd\n```a`b\n## Other\ne";
        let mut outline = Outline::new();
        let roles = text.lines().map(|line| (outline.next(line), line));
        let roles: Vec<_> = roles.filter(|(role, _)| *role != Role::Other).collect();
        let expected = [
            (Role::Text(""), "top"),
            (Role::Heading("Version"), "## Version"),
            (Role::Heading("ModelName"), "## ModelName"),
            (Role::Text("ModelName"), "c"),
            (Role::Heading("ModelName"), "## modelname:"),
            (Role::Text("ModelName"), "d"),
            (Role::Text("ModelName"), "```a`b"),
        ];
        assert_eq!(roles, expected);
    }
}
