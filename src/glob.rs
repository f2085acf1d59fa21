//! Patterns for names, as in Python's `fnmatch`.
//!
//! `*` matches any characters, slashes included; `?` matches one; `[abc]` and `[a-z]` match one character of a set, and
//! `[!abc]` one that is not in it. An unclosed bracket matches itself. Case matters.

/// A pattern.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Glob(Vec<Piece>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Any,
    One,
    Literal(char),
    Set {
        is_negated: bool,
        ranges: Vec<(char, char)>,
    },
}

impl Glob {
    pub(crate) fn new(pattern: &str) -> Self {
        let chars: Vec<char> = pattern.chars().collect();
        let mut pieces = Vec::new();
        let mut at = 0;
        while let Some(c) = chars.get(at) {
            at += 1;
            let piece = match c {
                '*' => Piece::Any,
                '?' => Piece::One,
                '[' => match read_set(&chars[at..]) {
                    Some((set, length)) => {
                        at += length;
                        set
                    }
                    None => Piece::Literal('['),
                },
                c => Piece::Literal(*c),
            };
            // Consecutive stars are one.
            if piece != Piece::Any || pieces.last() != Some(&Piece::Any) {
                pieces.push(piece);
            }
        }
        Self(pieces)
    }

    /// Returns whether a text has a special character.
    pub(crate) fn is_pattern(text: &str) -> bool {
        text.contains(['*', '?', '['])
    }

    /// Returns whether the pattern matches a whole text.
    pub(crate) fn matches(&self, text: &str) -> bool {
        let text: Vec<char> = text.chars().collect();
        let (mut piece, mut at) = (0, 0);
        // Where to resume after a mismatch: the last star takes one more character.
        let mut star: Option<(usize, usize)> = None;
        while at < text.len() {
            let is_match = match self.0.get(piece) {
                Some(Piece::Any) => {
                    star = Some((piece, at));
                    piece += 1;
                    continue;
                }
                Some(other) => other.matches(text[at]),
                None => false,
            };
            if is_match {
                piece += 1;
                at += 1;
            } else if let Some((after, taken)) = star {
                star = Some((after, taken + 1));
                piece = after + 1;
                at = taken + 1;
            } else {
                return false;
            }
        }
        self.0[piece..].iter().all(|piece| *piece == Piece::Any)
    }
}

impl Piece {
    fn matches(&self, c: char) -> bool {
        match self {
            Self::Any | Self::One => true,
            Self::Literal(literal) => *literal == c,
            Self::Set { is_negated, ranges } => {
                ranges
                    .iter()
                    .any(|(first, last)| (*first..=*last).contains(&c))
                    != *is_negated
            }
        }
    }
}

/// Parses a set after its opening bracket; returns it with its length, closing bracket included.
fn read_set(chars: &[char]) -> Option<(Piece, usize)> {
    let is_negated = chars.first() == Some(&'!');
    let begin = usize::from(is_negated);
    // A closing bracket in first place is a member.
    let length = chars.get(begin + 1..)?.iter().position(|c| *c == ']')? + begin + 1;
    let members = &chars[begin..length];
    let mut ranges = Vec::new();
    let mut at = 0;
    while at < members.len() {
        match members[at..] {
            [first, '-', last, ..] => {
                ranges.push((first, last));
                at += 3;
            }
            [c, ..] => {
                ranges.push((c, c));
                at += 1;
            }
            [] => break,
        }
    }
    Some((Piece::Set { is_negated, ranges }, length + 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_as_in_a_shell() {
        for (pattern, text, expected) in [
            ("*", "", true),
            ("*", "a/b", true),
            ("a*c", "abbc", true),
            ("a*c", "abcd", false),
            ("*.nam", "mfsim.nam", true),
            ("*.nam", "mfsim.name", false),
            ("a?c", "abc", true),
            ("a?c", "ac", false),
            ("[ab]x", "bx", true),
            ("[!ab]x", "bx", false),
            ("[a-c]x", "bx", true),
            ("[]]x", "]x", true),
            ("[a", "[a", true),
            ("[a-]", "-", true),
            ("**a**", "bab", true),
            ("", "", true),
            ("", "a", false),
            ("A", "a", false),
            ("ä?", "äö", true),
        ] {
            assert_eq!(
                Glob::new(pattern).matches(text),
                expected,
                "{pattern} {text}"
            );
        }
    }

    #[test]
    fn many_stars_take_no_time() {
        let pattern = Glob::new(&"*a".repeat(50));
        assert!(!pattern.matches(&"a".repeat(49)));
        assert!(pattern.matches(&"ba".repeat(60)));
        assert!(!Glob::new(&format!("{}b", "a*".repeat(30))).matches(&"a".repeat(5000)));
    }
}
