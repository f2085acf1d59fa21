//! The JSON of a header.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{Error, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};

use super::super::json::{UniqueKeys, repeated};
use crate::relpath::shown;

/// The key of the metadata; every other key is the name of a tensor.
const METADATA: &str = "__metadata__";

/// The tensors by name, and the metadata.
#[derive(Debug, Default)]
pub(super) struct HeaderWire {
    pub(super) tensors: BTreeMap<String, TensorWire>,
    pub(super) metadata: Option<UniqueKeys<String>>,
}

/// What a header says about a tensor.
#[derive(Debug, Deserialize)]
pub(super) struct TensorWire {
    pub(super) dtype: String,
    /// The number of elements, from the dimensions. Without any, the tensor is a single number.
    #[serde(rename = "shape", deserialize_with = "elements")]
    pub(super) elements: u64,
    /// Where its bytes begin and end, counted from the end of the header.
    pub(super) data_offsets: (u64, u64),
}

impl TensorWire {
    /// Checks that the tensor has the bytes that its elements need.
    fn check(&self, name: &str) -> Result<(), String> {
        let (start, end) = self.data_offsets;
        let bytes = end.checked_sub(start);
        let bytes =
            bytes.ok_or_else(|| format!("the tensor '{}' ends before it begins", shown(name)))?;
        let bits = bits(&self.dtype).map(|bits| bits * u128::from(self.elements));
        match bits.is_none_or(|bits| bits == u128::from(bytes) * 8) {
            true => Ok(()),
            false => Err(format!(
                "the tensor '{}' has {bytes} bytes, which is not what its shape needs",
                shown(name)
            )),
        }
    }
}

fn elements<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    let shape = Vec::<u64>::deserialize(deserializer)?;
    let mut dimensions = shape.into_iter();
    let elements = dimensions.try_fold(1_u64, u64::checked_mul);
    elements.ok_or_else(|| D::Error::custom("a shape has too many elements"))
}

/// Returns how many bits an element has; `None` for an unknown type.
fn bits(dtype: &str) -> Option<u128> {
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

impl<'de> Deserialize<'de> for HeaderWire {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(HeaderVisitor)
    }
}

struct HeaderVisitor;

impl<'de> Visitor<'de> for HeaderVisitor {
    type Value = HeaderWire;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of tensors")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<HeaderWire, A::Error> {
        let mut header = HeaderWire::default();
        while let Some(name) = map.next_key::<String>()? {
            let is_repeated = if name == METADATA {
                // It may be null.
                let metadata = map.next_value::<Option<_>>()?.unwrap_or_default();
                header.metadata.replace(metadata).is_some()
            } else {
                let tensor: TensorWire = map.next_value()?;
                tensor.check(&name).map_err(A::Error::custom)?;
                header.tensors.insert(name.clone(), tensor).is_some()
            };
            if is_repeated {
                return Err(repeated(&name));
            }
        }
        Ok(header)
    }
}
