//! The JSON of a header, checked while it is read: nothing of it is kept but what is asked for.

use std::collections::{BTreeMap, HashSet};
use std::fmt;

use serde::de::{DeserializeSeed, Error, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

use super::super::description::{MAX_DESCRIPTION_CHARS, MAX_NAME_CHARS, kept};
use crate::relpath::shown;

/// The key of what a file states freely; every other is the name of a tensor.
const METADATA: &str = "__metadata__";
/// How many free statements are kept at first; a few have a meaning, which is found among them.
const MAX_STATEMENTS: usize = 1_000;
/// The longest free statement that is kept, in bytes: pictures and statistics of training are not.
const MAX_STATEMENT_BYTES: usize = 4 * MAX_DESCRIPTION_CHARS;

/// A header whose tensors each have the bytes that they say.
#[derive(Debug, Default)]
pub(super) struct Header {
    pub(super) tensors: Vec<Tensor>,
    /// What the file states freely; long texts are left out.
    pub(super) metadata: BTreeMap<String, String>,
}

/// What a header says of a tensor.
#[derive(Debug)]
pub(super) struct Tensor {
    pub(super) dtype: String,
    pub(super) elements: u64,
    /// Where its bytes begin and end, counted from the end of the header.
    pub(super) range: (u64, u64),
}

#[derive(Deserialize)]
struct TensorWire {
    dtype: String,
    shape: Elements,
    data_offsets: (u64, u64),
}

impl TensorWire {
    fn check(self, name: &str) -> Result<Tensor, String> {
        let (from, to) = self.data_offsets;
        let Some(bytes) = to.checked_sub(from) else {
            let name = shown(name);
            return Err(format!("the tensor '{name}' ends before it begins"));
        };
        let Elements(elements) = self.shape;
        if let Some(bits) = bits(&self.dtype) {
            // Halves of bytes are only packed in pairs.
            let expected = elements.checked_mul(bits).filter(|bits| bits % 8 == 0);
            if expected.map(|bits| bits / 8) != Some(bytes) {
                let name = shown(name);
                return Err(format!(
                    "the tensor '{name}' has {bytes} bytes, which is not what its shape needs"
                ));
            }
        }
        let dtype = kept(&self.dtype, MAX_NAME_CHARS).unwrap_or_default();
        Ok(Tensor {
            dtype,
            elements,
            range: (from, to),
        })
    }
}

/// How many bits an element has; `None` for a type that is not known.
fn bits(dtype: &str) -> Option<u64> {
    Some(match dtype {
        "F4" => 4,
        "F6_E2M3" | "F6_E3M2" => 6,
        "BOOL" | "U8" | "I8" | "F8_E4M3" | "F8_E5M2" | "F8_E8M0" | "F8_E4M3FNUZ"
        | "F8_E5M2FNUZ" => 8,
        "U16" | "I16" | "F16" | "BF16" => 16,
        "U32" | "I32" | "F32" => 32,
        "U64" | "I64" | "F64" | "C64" => 64,
        _ => return None,
    })
}

impl<'de> Deserialize<'de> for Header {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(HeaderVisitor)
    }
}

struct HeaderVisitor;

impl<'de> Visitor<'de> for HeaderVisitor {
    type Value = Header;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of tensors")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Header, A::Error> {
        let mut header = Header::default();
        let mut names = HashSet::new();
        while let Some(name) = map.next_key::<String>()? {
            if name == METADATA {
                header.metadata = map.next_value_seed(Statements)?;
            } else {
                let tensor = map.next_value::<TensorWire>()?.check(&name);
                header.tensors.push(tensor.map_err(A::Error::custom)?);
            }
            once(&mut names, name)?;
        }
        Ok(header)
    }
}

/// Reads `__metadata__`: texts by name, or null.
struct Statements;

impl<'de> DeserializeSeed<'de> for Statements {
    type Value = BTreeMap<String, String>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Statements {
    type Value = BTreeMap<String, String>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of texts")
    }

    fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
        Ok(BTreeMap::new())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut stated = BTreeMap::new();
        let mut names = HashSet::new();
        while let Some(name) = map.next_key::<String>()? {
            let value = map.next_value::<String>()?;
            if value.len() <= MAX_STATEMENT_BYTES
                && stated.len() < MAX_STATEMENTS
                && let Some(key) = kept(&name, MAX_NAME_CHARS)
                && let Some(value) = kept(&value, MAX_DESCRIPTION_CHARS)
            {
                stated.insert(key, value);
            }
            once(&mut names, name)?;
        }
        Ok(stated)
    }
}

/// Notes a key, unless it is noted already.
fn once<E: Error>(names: &mut HashSet<String>, name: String) -> Result<(), E> {
    match names.replace(name) {
        None => Ok(()),
        Some(name) => Err(E::custom(format!(
            "the key '{}' stands twice",
            shown(&name)
        ))),
    }
}

/// How many elements a shape has; a shape without dimensions is that of one number.
struct Elements(u64);

impl<'de> Deserialize<'de> for Elements {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(ElementsVisitor)
    }
}

struct ElementsVisitor;

impl<'de> Visitor<'de> for ElementsVisitor {
    type Value = Elements;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of dimensions")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Elements, A::Error> {
        let mut elements = 1_u64;
        while let Some(dimension) = seq.next_element::<u64>()? {
            let product = elements.checked_mul(dimension);
            elements = product.ok_or_else(|| A::Error::custom("a shape has too many elements"))?;
        }
        Ok(Elements(elements))
    }
}
