//! Texts of others about a model, as they are kept: one line, without control characters, of bounded length.

/// The longest name, author or other short text that is kept, in characters.
pub(crate) const MAX_NAME_CHARS: usize = 200;
/// The longest description that is kept, in characters: some files contain a whole page.
pub(crate) const MAX_DESCRIPTION_CHARS: usize = 2_000;

/// Returns a name or other short text as it is kept; `None` if nothing is left.
pub(crate) fn short_text(text: &str) -> Option<String> {
    one_line(text, MAX_NAME_CHARS)
}

/// Returns a description as it is kept; `None` if nothing is left.
pub(crate) fn long_text(text: &str) -> Option<String> {
    one_line(text, MAX_DESCRIPTION_CHARS)
}

/// Joins lines, removes control characters, and cuts the text; `None` if nothing is left.
fn one_line(text: &str, max_chars: usize) -> Option<String> {
    let words = text.split_whitespace();
    let chars = words.flat_map(|word| word.chars().chain([' ']));
    let mut line: String = chars.filter(|c| !c.is_control()).take(max_chars).collect();
    line.truncate(line.trim_end().len());
    (!line.is_empty()).then_some(line)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_become_one_line_without_control_characters_up_to_a_length() {
        assert_eq!(one_line("  a\r\n\tb  c\u{7} ", 9).as_deref(), Some("a b c"));
        assert_eq!(one_line("ππππ", 3).as_deref(), Some("πππ"));
        assert_eq!(one_line("ab cd", 3).as_deref(), Some("ab"));
        assert_eq!(one_line(" \u{1b} \n", 9), None);
        assert_eq!(one_line("", 9), None);
    }
}
