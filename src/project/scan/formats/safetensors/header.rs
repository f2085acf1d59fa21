//! The JSON of a header.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{MapAccess, Visitor};
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
    shape: Vec<u64>,
    /// Where its bytes begin and end, counted from the end of the header.
    pub(super) data_offsets: (u64, u64),
}

impl TensorWire {
    /// Counts the elements, and checks that the tensor has the bytes for them. A shape without dimensions is that of one
    /// number.
    pub(super) fn elements(&self, name: &str) -> Result<u64, String> {
        let (start, end) = self.data_offsets;
        let Some(bytes) = end.checked_sub(start) else {
            let name = shown(name);
            return Err(format!("the tensor '{name}' ends before it begins"));
        };
        let mut dimensions = self.shape.iter();
        let elements = dimensions.try_fold(1_u64, |product, size| product.checked_mul(*size));
        let elements = elements.ok_or("a shape has too many elements")?;
        if let Some(bits) = bits(&self.dtype)
            && u128::from(elements) * bits != u128::from(bytes) * 8
        {
            let name = shown(name);
            return Err(format!(
                "the tensor '{name}' has {bytes} bytes, which is not what its shape needs"
            ));
        }
        Ok(elements)
    }
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
                let tensor = map.next_value()?;
                header.tensors.insert(name.clone(), tensor).is_some()
            };
            if is_repeated {
                return Err(repeated(&name));
            }
        }
        Ok(header)
    }
}
