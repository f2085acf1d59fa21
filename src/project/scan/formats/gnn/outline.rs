//! Markdown as its sections, which is all that the notation has of it.

/// The sections of a text, in its order.
#[derive(Debug)]
pub(super) struct Outline<'a>(Vec<Section<'a>>);

#[derive(Debug)]
struct Section<'a> {
    /// Empty for what precedes the first heading.
    name: &'a str,
    lines: Vec<&'a str>,
}

impl<'a> Outline<'a> {
    /// Splits a text at its headings of the second level. What is in a fenced block of code is left out.
    pub(super) fn of(text: &'a str) -> Self {
        let mut sections = vec![Section {
            name: "",
            lines: Vec::new(),
        }];
        let mut open: Option<Fence> = None;
        for line in text.lines() {
            match (&open, Fence::of(line)) {
                (Some(opening), Some(fence)) if fence.closes(opening) => open = None,
                (Some(_), _) => {}
                (None, Some(fence)) => open = Some(fence),
                (None, None) => match heading(line) {
                    Some(name) => sections.push(Section {
                        name,
                        lines: Vec::new(),
                    }),
                    None => {
                        if let Some(section) = sections.last_mut() {
                            section.lines.push(line);
                        }
                    }
                },
            }
        }
        Self(sections)
    }

    /// Whether there is a section of this name.
    pub(super) fn has(&self, name: &str) -> bool {
        self.named(name).next().is_some()
    }

    /// The lines of the sections of this name.
    pub(super) fn lines(&self, name: &str) -> impl Iterator<Item = &'a str> {
        self.named(name)
            .flat_map(|section| section.lines.iter().copied())
    }

    fn named(&self, name: &str) -> impl Iterator<Item = &Section<'a>> {
        self.0
            .iter()
            .filter(move |section| section.name.eq_ignore_ascii_case(name))
    }
}

/// The name in a heading of the second level; one of another level is a comment of the notation.
fn heading(line: &str) -> Option<&str> {
    let rest = unindented(line)?.strip_prefix("##")?;
    if rest.starts_with('#') {
        return None;
    }
    let name = rest.trim().trim_end_matches('#');
    Some(name.trim_end().trim_end_matches(':').trim_end()).filter(|name| !name.is_empty())
}

/// A line that begins or ends a block of code (<https://spec.commonmark.org/0.31.2/#fenced-code-blocks>).
#[derive(Debug)]
struct Fence {
    mark: char,
    length: usize,
    /// Whether something follows it, as the language of the code: such a line ends no block.
    is_named: bool,
}

impl Fence {
    fn of(line: &str) -> Option<Self> {
        let line = unindented(line)?.trim_end();
        let mark = line.chars().next().filter(|c| matches!(c, '`' | '~'))?;
        let rest = line.trim_start_matches(mark);
        let length = line.len() - rest.len();
        // Behind backquotes, more of them make it a line of text.
        let is_fence = length >= 3 && !(mark == '`' && rest.contains('`'));
        is_fence.then_some(Self {
            mark,
            length,
            is_named: !rest.is_empty(),
        })
    }

    fn closes(&self, opening: &Self) -> bool {
        self.mark == opening.mark && self.length >= opening.length && !self.is_named
    }
}

/// A line without its indent; `None` when it is deep enough to be code.
fn unindented(line: &str) -> Option<&str> {
    let rest = line.trim_start_matches(' ');
    (line.len() - rest.len() < 4).then_some(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headings_have_two_marks() {
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
    fn what_is_in_fences_is_left_out() {
        let text = "top\r\n## A\n```\n## B\n~~~\n````\n## C\nc\n~~~ gnn\nno\n``` \n~~~ x\n ~~~~\n## c:\nd\n```a`b";
        let outline = Outline::of(text);
        assert_eq!(outline.lines("").collect::<Vec<_>>(), ["top"]);
        assert!(outline.has("a") && !outline.has("B"));
        assert_eq!(outline.lines("C").collect::<Vec<_>>(), ["c", "d", "```a`b"]);
        assert!(!Outline::of("```\n## A").has("A"));
    }
}
