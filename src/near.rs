//! Names that resemble a mistyped one.

/// Returns up to three candidates that resemble a mistyped name, most similar first.
pub(crate) fn nearest<'a>(
    wanted: &str,
    candidates: impl IntoIterator<Item = &'a str>,
) -> Vec<String> {
    let lower = wanted.to_lowercase();
    let mut scored: Vec<(usize, &str)> = candidates
        .into_iter()
        .filter_map(|candidate| {
            let other = candidate.to_lowercase();
            let is_part = !lower.is_empty() && (other.contains(&lower) || lower.contains(&other));
            let distance = match is_part {
                true => 1,
                false => edit_distance(&lower, &other),
            };
            (distance <= 1 + wanted.chars().count() / 5).then_some((distance, candidate))
        })
        .collect();
    scored.sort_unstable();
    scored.dedup();
    let nearest = scored.into_iter().take(3);
    nearest.map(|(_, candidate)| candidate.to_owned()).collect()
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
        let names = ["digits/logistic", "digits/forest", "whisper/tiny"];
        assert_eq!(nearest("digits/logistc", names), ["digits/logistic"]);
        assert_eq!(nearest("tiny", names), ["whisper/tiny"]);
        assert!(nearest("unrelated", names).is_empty());
    }
}
