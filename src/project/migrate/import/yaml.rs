//! Reading YAML into values, within bounds: of depth, and of what aliases make of a few lines.

use std::collections::HashMap;

use granit_parser::{Event, Parser, ScalarStyle, Span, Tag, options};
use serde_json::{Map, Value};

use super::weight::{MAX_WEIGHT, weight_of};
use crate::relpath::shown;

/// How deep lists and tables may be nested.
const MAX_DEPTH: usize = 64;

/// A list or table that has not ended.
#[derive(Debug)]
struct Open {
    anchor: usize,
    value: Value,
    /// The key whose value comes next, in a table.
    key: Option<String>,
}

/// What was read so far.
#[derive(Debug, Default)]
struct Reader {
    open: Vec<Open>,
    anchors: HashMap<usize, Value>,
    whole: Option<Value>,
    weight: usize,
}

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
    let mut reader = Reader::default();
    for event in Parser::new_from_str_with_options(text, options) {
        let (event, span) = event.map_err(|error| at(error.marker().line(), &error.info()))?;
        reader
            .take(event)
            .map_err(|message| at(line_of(&span), &message))?;
    }
    Ok(reader.whole.unwrap_or_default())
}

fn line_of(span: &Span) -> usize {
    span.start.line()
}

fn at(line: usize, message: &str) -> String {
    format!("line {line}: {}", message.trim().replace('\n', ", "))
}

impl Reader {
    fn take(&mut self, event: Event<'_>) -> Result<(), String> {
        match event {
            Event::DocumentStart(..) if self.whole.is_some() => {
                Err("a second document begins".into())
            }
            Event::Scalar(text, style, anchor, tag) => {
                let value = scalar(&text, style, tag.as_deref())?;
                self.spend(weight_of(&value))?;
                match self.open.last_mut() {
                    // A key is text, whatever it looks like.
                    Some(Open {
                        value: Value::Object(table),
                        key: key @ None,
                        ..
                    }) => {
                        if table.contains_key(text.as_ref()) {
                            return Err(format!("the key '{}' occurs twice", shown(&text)));
                        }
                        *key = Some(text.clone().into_owned());
                        self.keep(anchor, &text.into())
                    }
                    _ => {
                        self.keep(anchor, &value)?;
                        self.put(value)
                    }
                }
            }
            Event::SequenceStart(_, anchor, tag) => {
                self.begin(anchor, tag.as_deref(), Value::Array(Vec::new()))
            }
            Event::MappingStart(_, anchor, tag) => {
                self.begin(anchor, tag.as_deref(), Value::Object(Map::new()))
            }
            Event::SequenceEnd | Event::MappingEnd => {
                let Some(ended) = self.open.pop() else {
                    return Err("a list or table ends that did not begin".into());
                };
                self.keep(ended.anchor, &ended.value)?;
                self.put(ended.value)
            }
            Event::Alias(anchor) => {
                let Some(value) = self.anchors.get(&anchor) else {
                    return Err("an alias stands within what it stands for".into());
                };
                let weight = weight_of(value);
                let value = value.clone();
                self.spend(weight)?;
                self.put(value)
            }
            _ => Ok(()),
        }
    }

    fn begin(&mut self, anchor: usize, tag: Option<&Tag>, value: Value) -> Result<(), String> {
        check_tag(tag)?;
        if self.open.len() == MAX_DEPTH {
            return Err("it is nested too deeply".into());
        }
        self.spend(weight_of(&value))?;
        self.open.push(Open {
            anchor,
            value,
            key: None,
        });
        Ok(())
    }

    /// Puts a value into what it stands in.
    fn put(&mut self, value: Value) -> Result<(), String> {
        match self.open.last_mut() {
            None => self.whole = Some(value),
            Some(Open {
                value: Value::Object(table),
                key,
                ..
            }) => match (key.take(), value) {
                (Some(key), value) => {
                    table.insert(key, value);
                }
                (None, Value::String(text)) if !table.contains_key(&text) => *key = Some(text),
                (None, _) => return Err("a key is not a string, or occurs twice".into()),
            },
            Some(Open {
                value: Value::Array(list),
                ..
            }) => list.push(value),
            Some(_) => {}
        }
        Ok(())
    }

    /// Keeps what aliases stand for.
    fn keep(&mut self, anchor: usize, value: &Value) -> Result<(), String> {
        if anchor != 0 {
            self.spend(weight_of(value))?;
            self.anchors.insert(anchor, value.clone());
        }
        Ok(())
    }

    fn spend(&mut self, weight: usize) -> Result<(), String> {
        self.weight = self.weight.saturating_add(weight);
        match self.weight <= MAX_WEIGHT {
            true => Ok(()),
            false => Err("it has too many values, with those that its aliases stand for".into()),
        }
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
        _ if text.starts_with(|c: char| c.is_ascii_digit() || "+-.".contains(c)) => number(text),
        _ => text.into(),
    })
}

fn number(text: &str) -> Value {
    let is_decimal = text
        .chars()
        .all(|c| c.is_ascii_digit() || "+-.eE".contains(c));
    if let Ok(whole) = text.parse::<i64>() {
        return whole.into();
    }
    match text.parse::<f64>() {
        Ok(real) if is_decimal && real.is_finite() => real.into(),
        _ => text.into(),
    }
}

/// Tags of other programs name what they would make of a value; nothing is made here.
fn check_tag(tag: Option<&Tag>) -> Result<(), String> {
    match tag {
        Some(tag) if !(tag.is_yaml_core_schema() || is_plain(tag)) => Err(format!(
            "the tag '{}{}' is not supported",
            shown(tag.handle()),
            shown(tag.suffix())
        )),
        _ => Ok(()),
    }
}

/// `!` alone says that something is what it looks like.
fn is_plain(tag: &Tag) -> bool {
    tag.handle() == "!" && tag.suffix().is_empty()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn values_are_those_of_the_core_schema() {
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
    fn an_alias_stands_for_what_its_anchor_is_at() {
        let text = "a: &one [x, &two y]\nb: *one\n*two : *two\n&three k: *three\n";
        // Of a key that is an alias, the space before the colon is part of YAML.
        assert_eq!(
            parse(text),
            Ok(json!({"a": ["x", "y"], "b": ["x", "y"], "y": "y", "k": "k"}))
        );
    }

    #[test]
    fn what_is_wrong_is_told_with_its_line() {
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
    fn what_grows_without_bounds_is_refused() {
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
