//! Texts that names are made of, in one piece.

use std::fmt;

/// A list of texts, which are known by their places in it.
///
/// A registry of 100,000 versions has few words: groups, models, and the same versions again and again. So a list of all that it
/// offers has them once, and its names are numbers.
#[derive(Default)]
pub(crate) struct Words {
    text: Box<str>,
    /// Where each ends.
    ends: Box<[u32]>,
}

impl Words {
    /// Joins texts; `None` if they are longer than a number can tell, of four billion bytes.
    pub(crate) fn of<'t>(texts: impl Iterator<Item = &'t str> + Clone) -> Option<Self> {
        let mut text = String::with_capacity(texts.clone().map(str::len).sum());
        let ends = texts.map(|one| {
            text.push_str(one);
            u32::try_from(text.len()).ok()
        });
        let ends = ends.collect::<Option<Box<[u32]>>>()?;
        let text = text.into_boxed_str();
        Some(Self { text, ends })
    }

    /// Returns whether there is a text with this number.
    pub(crate) fn has(&self, number: u32) -> bool {
        usize::try_from(number).is_ok_and(|number| number < self.ends.len())
    }

    /// Returns the text with a number; empty if there is none.
    pub(crate) fn get(&self, number: u32) -> &str {
        let end = |number: Option<usize>| number.and_then(|it| self.ends.get(it)).copied();
        let place = usize::try_from(number).ok();
        let begin = end(place.and_then(|it| it.checked_sub(1))).unwrap_or_default();
        let end = end(place).unwrap_or_default();
        self.text
            .get(begin as usize..end as usize)
            .unwrap_or_default()
    }
}

impl fmt::Debug for Words {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} words", self.ends.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_found_by_its_number() {
        let texts = ["a", "", "日本", "d", ""];
        let words = Words::of(texts.into_iter()).unwrap();
        for (number, text) in (0..).zip(texts) {
            assert!(words.has(number));
            assert_eq!(words.get(number), text);
        }
        assert_eq!(
            (words.has(5), words.get(5), words.get(u32::MAX)),
            (false, "", "")
        );
        assert_eq!(
            (words.text.len(), format!("{words:?}").as_str()),
            (8, "5 words")
        );
        assert!(!Words::default().has(0));
    }
}
