//! What numbers and names in GGUF mean.

use std::collections::BTreeMap;

/// How most tensors are stored, by `general.file_type`
/// (`llama_ftype` in <https://github.com/ggml-org/llama.cpp/blob/master/include/llama.h>).
#[rustfmt::skip]
const QUANTIZATIONS: [(u64, &str); 36] = [
    (0, "F32"), (1, "F16"), (2, "Q4_0"), (3, "Q4_1"), (4, "Q4_1_SOME_F16"), (7, "Q8_0"), (8, "Q5_0"), (9, "Q5_1"),
    (10, "Q2_K"), (11, "Q3_K_S"), (12, "Q3_K_M"), (13, "Q3_K_L"), (14, "Q4_K_S"), (15, "Q4_K_M"), (16, "Q5_K_S"),
    (17, "Q5_K_M"), (18, "Q6_K"), (19, "IQ2_XXS"), (20, "IQ2_XS"), (21, "Q2_K_S"), (22, "IQ3_XS"), (23, "IQ3_XXS"),
    (24, "IQ1_S"), (25, "IQ4_NL"), (26, "IQ3_S"), (27, "IQ3_M"), (28, "IQ2_S"), (29, "IQ2_M"), (30, "IQ4_XS"),
    (31, "IQ1_M"), (32, "BF16"), (36, "TQ1_0"), (37, "TQ2_0"), (38, "MXFP4_MOE"), (39, "NVFP4"),
    (40, "Q1_0"),
];

/// How a tensor is stored, by its type (`ggml_type` in <https://github.com/ggml-org/ggml/blob/master/include/ggml.h>).
#[rustfmt::skip]
const TENSOR_TYPES: [(u64, &str); 30] = [
    (0, "F32"), (1, "F16"), (2, "Q4_0"), (3, "Q4_1"), (6, "Q5_0"), (7, "Q5_1"), (8, "Q8_0"), (9, "Q8_1"), (10, "Q2_K"),
    (11, "Q3_K"), (12, "Q4_K"), (13, "Q5_K"), (14, "Q6_K"), (15, "Q8_K"), (16, "IQ2_XXS"), (17, "IQ2_XS"), (18, "IQ3_XXS"),
    (19, "IQ1_S"), (20, "IQ4_NL"), (21, "IQ3_S"), (22, "IQ2_S"), (23, "IQ4_XS"), (28, "F64"), (29, "IQ1_M"), (30, "BF16"),
    (34, "TQ1_0"), (35, "TQ2_0"), (39, "MXFP4"), (40, "NVFP4"), (41, "Q1_0"),
];

/// What is added to a `general.file_type` that was guessed.
const GUESSED: u64 = 1024;

/// Returns the quantization of a `general.file_type`; `None` for an unknown one.
pub(super) fn quantization(file_type: u64) -> Option<&'static str> {
    let mut known = QUANTIZATIONS.into_iter();
    known.find_map(|(number, name)| (number == file_type & !GUESSED).then_some(name))
}

/// Returns how most elements are stored, of which `types` has the number for each type; `None` for an unknown type.
pub(super) fn quantization_of(types: &BTreeMap<u64, u64>) -> Option<&'static str> {
    let (most, _) = types.iter().max_by_key(|(_, elements)| **elements)?;
    let mut known = TENSOR_TYPES.into_iter();
    known.find_map(|(number, name)| (number == *most).then_some(name))
}

/// Returns the id of a model on the Hub by its URL there; anything else as it is.
pub(super) fn without_hub(base: String) -> String {
    let id = base.strip_prefix("https://huggingface.co/");
    id.map(str::to_owned).unwrap_or(base)
}

/// Returns what models of an architecture do: most generate text, the others are known by name.
pub(super) fn model_type(architecture: &str) -> &'static str {
    match architecture.to_ascii_lowercase().as_str() {
        "whisper" => "audio-to-text",
        // The part that turns images into the input of a language model.
        "clip" => "image-to-text",
        "wavtokenizer-dec" => "text-to-audio",
        "flux" | "sd1" | "sd3" | "sdxl" | "aura" | "hidream" | "lumina2" | "qwen_image" => {
            "text-to-image"
        }
        "ltxv" | "hyvid" | "wan" | "cosmos" => "other",
        "t5encoder" => "embedding",
        name if name.contains("bert") || name.contains("embedding") => "embedding",
        _ => "text-generation",
    }
}
