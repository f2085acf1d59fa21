//! The names of files that are one of several parts.

/// The name of a file that is one of several parts, such as `model-00001-of-00003.safetensors`: a dash, a number, `-of-` and a
/// number that is not 1, before its extension or extensions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct PartName<'a> {
    /// What all parts are called, such as `model`; may be empty.
    pub(crate) stem: &'a str,
    /// What is between that and the number.
    separator: &'a str,
    /// What follows the number, from its dash on.
    rest: &'a str,
    /// Of it, what follows the number of parts, such as `.fp16.safetensors`.
    pub(crate) ending: &'a str,
}

impl<'a> PartName<'a> {
    /// Reads the name of a file; `None` if it is not of this form.
    pub(crate) fn of(file_name: &'a str) -> Option<Self> {
        let number = |text: &str| {
            let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
            is_number.then(|| text.parse().unwrap_or(u64::MAX))
        };
        file_name.match_indices("-of-").find_map(|(at, of)| {
            let (before, rest) = file_name.split_at(at);
            let part = before.rsplit(['-', '_']).next().unwrap_or_default();
            let count = rest[of.len()..].split(['.', '-', '_']).next()?;
            let (part_number, total) = (number(part)?, number(count)?);
            let named = &before[..before.len() - part.len()];
            let stem = named.strip_suffix(['-', '_']).unwrap_or(named);
            (part_number <= total && total > 1).then_some(Self {
                stem,
                separator: &named[stem.len()..],
                rest,
                ending: &rest[of.len() + count.len()..],
            })
        })
    }

    /// Returns the name with a star in place of the number: that of all parts together.
    pub(crate) fn of_all(&self) -> String {
        let Self {
            stem,
            separator,
            rest,
            ..
        } = self;
        format!("{stem}{separator}*{rest}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_recognized_by_their_names() {
        for (name, all, stem, ending) in [
            (
                "model-00001-of-00003.safetensors",
                "model-*-of-00003.safetensors",
                "model",
                ".safetensors",
            ),
            (
                "big-q4-00002-of-00002.gguf",
                "big-q4-*-of-00002.gguf",
                "big-q4",
                ".gguf",
            ),
            ("a-1-of-3.gguf", "a-*-of-3.gguf", "a", ".gguf"),
            (
                "model_0-of-12.safetensors",
                "model_*-of-12.safetensors",
                "model",
                ".safetensors",
            ),
            (
                "a-of-b-000001-of-000163.gguf",
                "a-of-b-*-of-000163.gguf",
                "a-of-b",
                ".gguf",
            ),
            (
                "d-00001-of-00002.fp16.safetensors",
                "d-*-of-00002.fp16.safetensors",
                "d",
                ".fp16.safetensors",
            ),
            ("00001-of-00003", "*-of-00003", "", ""),
        ] {
            let part = PartName::of(name).unwrap();
            assert_eq!(
                (&*part.of_all(), part.stem, part.ending),
                (all, stem, ending)
            );
        }
        for name in [
            "model.gguf",
            "model-00001-of-00001.safetensors",
            "best-of-3.gguf",
            "a-4-of-3.gguf",
            "a-1-of-.gguf",
            "of.gguf",
            "",
        ] {
            assert_eq!(PartName::of(name), None, "{name}");
        }
    }
}
