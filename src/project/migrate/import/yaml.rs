//! Reading YAML into values, with limits on the nesting and on what a few lines of aliases can grow into.

use std::collections::HashMap;

use granit_parser::{Event, Parser, ScalarStyle, ScanError, Span, Tag, options};
use serde_json::{Map, Value};

use crate::relpath::shown;

/// How deep lists and tables may be nested.
const MAX_DEPTH: usize = 64;

/// How much the values of a registry may take in memory, in bytes, as [`weight_of`] counts them.
pub(super) const MAX_WEIGHT: usize = 256 << 20;
/// About how much a value takes in memory besides its text.
pub(super) const VALUE_WEIGHT: usize = 64;

/// Reads the one document of a text.
///
/// # Errors
/// What is wrong, with its line.
pub(super) fn parse(text: &str) -> Result<Value, String> {
    let options = options! {
        flow_nesting_limit: MAX_DEPTH,
        block_nesting_limit: MAX_DEPTH,
        disallow_directives: true,
    };
    let mut reader = Reader {
        events: Parser::new_from_str_with_options(text, options),
        line: 0,
        anchors: HashMap::new(),
        weight: 0,
    };
    reader.document().map_err(|message| {
        let message = message.trim().replace('\n', ", ");
        format!("line {}: {message}", reader.line)
    })
}

/// Builds values out of the parser's events.
struct Reader<I> {
    events: I,
    /// The line of the last event.
    line: usize,
    /// What aliases stand for.
    anchors: HashMap<usize, Value>,
    /// What was built so far, and kept for aliases.
    weight: usize,
}

impl<'t, I: Iterator<Item = Result<(Event<'t>, Span), ScanError>>> Reader<I> {
    fn document(&mut self) -> Result<Value, String> {
        let mut document = None;
        loop {
            match self.next()? {
                Event::StreamEnd => return Ok(document.unwrap_or_default()),
                Event::DocumentStart(..) if document.is_some() => {
                    return Err("a second document begins".into());
                }
                Event::DocumentStart(..) => {
                    let first = self.next()?;
                    document = Some(self.value(first)?);
                }
                _ => {}
            }
        }
    }

    fn next(&mut self) -> Result<Event<'t>, String> {
        match self.events.next() {
            Some(Ok((event, span))) => {
                self.line = span.start.line();
                Ok(event)
            }
            Some(Err(error)) => {
                self.line = error.marker().line();
                Err(error.info())
            }
            None => Ok(Event::StreamEnd),
        }
    }

    /// Builds the value that begins with an event.
    fn value(&mut self, first: Event<'t>) -> Result<Value, String> {
        let (anchor, value) = match first {
            Event::Alias(anchor) => {
                let Some(value) = self.anchors.get(&anchor).cloned() else {
                    return Err("an alias stands within what it stands for".into());
                };
                self.spend(&value)?;
                return Ok(value);
            }
            Event::Scalar(text, style, anchor, tag) => {
                let value = scalar(&text, style, tag.as_deref())?;
                self.spend(&value)?;
                (anchor, value)
            }
            Event::SequenceStart(_, anchor, tag) => {
                check_tag(tag.as_deref())?;
                self.spend(&Value::Null)?;
                let mut list = Vec::new();
                loop {
                    match self.next()? {
                        Event::SequenceEnd => break,
                        first => list.push(self.value(first)?),
                    }
                }
                (anchor, Value::Array(list))
            }
            Event::MappingStart(_, anchor, tag) => {
                check_tag(tag.as_deref())?;
                self.spend(&Value::Null)?;
                let mut table = Map::new();
                loop {
                    let key = match self.next()? {
                        Event::MappingEnd => break,
                        first => self.key(first)?,
                    };
                    if table.contains_key(&key) {
                        return Err(format!("the key '{}' occurs twice", shown(&key)));
                    }
                    let first = self.next()?;
                    table.insert(key, self.value(first)?);
                }
                (anchor, Value::Object(table))
            }
            _ => return Err("a value is missing".into()),
        };
        if anchor != 0 {
            self.spend(&value)?;
            self.anchors.insert(anchor, value.clone());
        }
        Ok(value)
    }

    /// Builds a key, which is text whatever it looks like.
    fn key(&mut self, first: Event<'t>) -> Result<String, String> {
        let first = match first {
            Event::Scalar(text, _, anchor, tag) => {
                Event::Scalar(text, ScalarStyle::SingleQuoted, anchor, tag)
            }
            first => first,
        };
        match self.value(first)? {
            Value::String(key) => Ok(key),
            _ => Err("a key is not a string".into()),
        }
    }

    fn spend(&mut self, value: &Value) -> Result<(), String> {
        self.weight = self.weight.saturating_add(weight_of(value));
        match self.weight <= MAX_WEIGHT {
            true => Ok(()),
            false => Err("it has too many values, with those that its aliases stand for".into()),
        }
    }
}

/// About how much a value takes in memory.
fn weight_of(value: &Value) -> usize {
    VALUE_WEIGHT
        + match value {
            Value::String(text) => text.len(),
            Value::Array(list) => list.iter().map(weight_of).sum(),
            Value::Object(table) => table
                .iter()
                .map(|(key, value)| VALUE_WEIGHT + key.len() + weight_of(value))
                .sum(),
            _ => 0,
        }
}

/// What a scalar is, by the core schema: <https://yaml.org/spec/1.2.2/#103-core-schema>.
fn scalar(text: &str, style: ScalarStyle, tag: Option<&Tag>) -> Result<Value, String> {
    check_tag(tag)?;
    if style != ScalarStyle::Plain || tag.is_some() {
        return Ok(text.into());
    }
    Ok(match text {
        "" | "~" | "null" | "Null" | "NULL" => Value::Null,
        "true" | "True" | "TRUE" => true.into(),
        "false" | "False" | "FALSE" => false.into(),
        _ => number(text).unwrap_or_else(|| text.into()),
    })
}

fn number(text: &str) -> Option<Value> {
    let is_decimal = |c: char| c.is_ascii_digit() || "+-.eE".contains(c);
    if !text.chars().all(is_decimal) {
        return None;
    }
    let whole = text.parse::<i64>().ok().map(Value::from);
    let real = || text.parse::<f64>().ok().filter(|real| real.is_finite());
    whole.or_else(|| real().map(Value::from))
}

/// Refuses tags of other programs, which name the type that they make of a value. `!` alone is no type.
fn check_tag(tag: Option<&Tag>) -> Result<(), String> {
    let Some(tag) = tag else { return Ok(()) };
    let (handle, suffix) = (tag.handle(), tag.suffix());
    match tag.is_yaml_core_schema() || handle == "!" && suffix.is_empty() {
        true => Ok(()),
        false => Err(format!(
            "the tag '{}{}' is not supported",
            shown(handle),
            shown(suffix)
        )),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn scalars_follow_the_core_schema() {
        let text = "a: 1\nb: [x, 'y', \"z\\n\", 1.5, ~, true, '1']\nc:\n  - d: |\n      text\n    e: 2026-01-01\n1: !!str 2\nf:\n";
        let expected = json!({
            "a": 1, "b": ["x", "y", "z\n", 1.5, null, true, "1"],
            "c": [{"d": "text\n", "e": "2026-01-01"}], "1": "2", "f": null,
        });
        assert_eq!(parse(text), Ok(expected));
        assert_eq!(parse(""), Ok(Value::Null));
        assert_eq!(parse("# nothing\n---\n{}\n...\n"), Ok(json!({})));
        assert_eq!(
            parse("[.inf, -x, 0x1F, 1e5]"),
            Ok(json!([".inf", "-x", "0x1F", 1e5]))
        );
    }

    #[test]
    fn aliases_are_resolved() {
        let text = "a: &one [x, &two y]\nb: *one\n*two : *two\n&three k: *three\n";
        // Of a key that is an alias, the space before the colon is part of YAML.
        assert_eq!(
            parse(text),
            Ok(json!({"a": ["x", "y"], "b": ["x", "y"], "y": "y", "k": "k"}))
        );
    }

    #[test]
    fn errors_have_the_line() {
        for (text, line, words) in [
            ("a: 1\nb: 2\na: 3\n", 3, "'a' occurs twice"),
            ("a: 1\n---\nb: 2\n", 2, "second document"),
            ("a: &x\n  b: *x\n", 2, "within what it stands for"),
            ("a: *x\n", 1, "anchor"),
            ("a: [1\nb: 2\n", 2, ""),
            ("a: !!python/object:os.system x\n", 1, "python/object"),
            ("a: !mine x\n", 1, "'!mine'"),
            ("? [a]\n: b\n", 1, "not a string"),
            ("%YAML 1.1\n---\na: 1\n", 1, ""),
            ("a: \"\u{0}\"\n", 1, ""),
        ] {
            let error = parse(text).unwrap_err();
            assert!(
                error.starts_with(&format!("line {line}: ")),
                "{text}: {error}"
            );
            assert!(error.contains(words), "{text}: {error}");
        }
    }

    #[test]
    fn alias_bombs_and_deep_nesting_are_refused() {
        let mut bomb = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
        for level in 1..12 {
            let before = format!("*a{}, ", level - 1).repeat(10);
            bomb += &format!("a{level}: &a{level} [{before}]\n");
        }
        let long = format!(
            "a: &a {}\nb: [{}]\n",
            "x".repeat(1 << 20),
            "*a, ".repeat(1000)
        );
        let in_flow = "[".repeat(100_000);
        let in_block: String = (0..2_000)
            .map(|depth| format!("{}a:\n", " ".repeat(depth)))
            .collect();
        let in_dashes = "- ".repeat(50_000);
        for text in [&bomb, &long, &in_flow, &in_block, &in_dashes] {
            assert!(parse(text).is_err(), "{text:.20}");
        }
    }
}
