//! Names that resemble a mistyped one.

/// Returns up to three candidates that resemble a mistyped name, most similar first; never the name itself.
pub(crate) fn nearest<'a>(
    typed: &str,
    candidates: impl IntoIterator<Item = &'a str>,
) -> Vec<String> {
    let lower = typed.to_lowercase();
    let candidates = candidates.into_iter().filter(|name| *name != typed);
    let mut scored: Vec<_> = candidates
        .filter_map(|name| Some((likeness(&lower, &name.to_lowercase())?, name)))
        .collect();
    scored.sort_unstable();
    scored.dedup();
    if let Some((Likeness::Case, _)) = scored.first() {
        // That is what was meant.
        scored.retain(|(likeness, _)| *likeness == Likeness::Case);
    }
    let nearest = scored.into_iter().take(3);
    nearest.map(|(_, name)| name.to_owned()).collect()
}

/// In which way a name resembles what was typed, the likeliest mistake first.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Likeness {
    /// They differ only in case.
    Case,
    /// The last segments are equal: a group is missing, or another one.
    LastSegment(usize),
    /// So many letters are wrong.
    Letters(usize),
    /// So many letters of the last segment are wrong.
    LettersOfLast(usize),
    /// One is the group of the other, or the last segment of one is part of the other's, with so many letters more.
    Part(usize),
}

/// The shortest part of a name that says something about it.
const MIN_PART: usize = 3;

/// Compares names in lower case.
fn likeness(typed: &str, name: &str) -> Option<Likeness> {
    if typed == name {
        return Some(Likeness::Case);
    }
    let last = |name: &'_ str| name.rfind('/').map_or(0, |slash| slash + 1);
    let (typed_last, name_last) = (&typed[last(typed)..], &name[last(name)..]);
    let distance = edit_distance(typed, name);
    if typed_last == name_last {
        return Some(Likeness::LastSegment(distance));
    }
    // A mistyped name keeps most of its letters.
    let is_typo = |typed: &str, edits: usize| {
        let letters = typed.chars().count();
        edits <= 1 + letters / 5 && edits < letters
    };
    if is_typo(typed, distance) {
        return Some(Likeness::Letters(distance));
    }
    let of_last = edit_distance(typed_last, name_last);
    if typed_last.len() >= MIN_PART && is_typo(typed_last, of_last) {
        return Some(Likeness::LettersOfLast(of_last));
    }
    let has_part = |whole: &str, part: &str| part.len() >= MIN_PART && whole.contains(part);
    let is_part = has_part(name_last, typed_last) || has_part(typed_last, name_last);
    let is_group = name
        .strip_prefix(typed)
        .is_some_and(|rest| rest.starts_with('/'));
    (is_part || is_group).then(|| Likeness::Part(name.len().abs_diff(typed.len())))
}

/// Returns the number of insertions, deletions and replacements between two texts, or the maximum if their lengths differ
/// by more than 8.
fn edit_distance(a: &str, b: &str) -> usize {
    if a.len().abs_diff(b.len()) > 8 {
        return usize::MAX;
    }
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(x != *y);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(row[j + 1] + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_names() {
        let names = [
            "digits/logistic",
            "digits/forest",
            "whisper/tiny",
            "g/m",
            "h/m",
            "mf6/test/test001a_Tharmonic",
            "acme/grp/ex-three",
        ];
        for (typed, expected) in [
            ("digits/logistc", &["digits/logistic"][..]),
            ("digit/logistc", &["digits/logistic"]),
            ("tiny", &["whisper/tiny"]),
            ("whisper/tiny-en", &["whisper/tiny"]),
            ("Whisper/Tiny", &["whisper/tiny"]),
            ("test001a_Tharmonic", &["mf6/test/test001a_Tharmonic"]),
            ("test001a_tharmonik", &["mf6/test/test001a_Tharmonic"]),
            ("digits", &["digits/forest", "digits/logistic"]),
            ("g", &["g/m"]),
            ("g/n", &["g/m"]),
            ("G/M", &["g/m"]),
            ("DIGITS/forest", &["digits/forest"]),
            ("other/m", &["h/m", "g/m"]),
            ("unrelated", &[]),
            // A letter in common, or none at all, is no likeness.
            ("x/y", &[]),
            ("x", &[]),
            ("m64", &[]),
            ("big/m64", &[]),
            // What was typed is no help.
            ("acme/grp/ex-three", &[]),
        ] {
            assert_eq!(nearest(typed, names), expected, "{typed}");
        }
        assert_eq!(nearest("v3", ["v1", "v2", "latest"]), ["v1", "v2"]);
    }
}
