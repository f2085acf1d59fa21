//! What numbers and names in GGUF mean.

/// How most tensors are stored, by `general.file_type`
/// (`llama_ftype` in <https://github.com/ggml-org/llama.cpp/blob/master/include/llama.h>).
#[rustfmt::skip]
const QUANTIZATIONS: [(u64, &str); 34] = [
    (0, "F32"), (1, "F16"), (2, "Q4_0"), (3, "Q4_1"), (4, "Q4_1_SOME_F16"), (7, "Q8_0"), (8, "Q5_0"), (9, "Q5_1"),
    (10, "Q2_K"), (11, "Q3_K_S"), (12, "Q3_K_M"), (13, "Q3_K_L"), (14, "Q4_K_S"), (15, "Q4_K_M"), (16, "Q5_K_S"),
    (17, "Q5_K_M"), (18, "Q6_K"), (19, "IQ2_XXS"), (20, "IQ2_XS"), (21, "Q2_K_S"), (22, "IQ3_XS"), (23, "IQ3_XXS"),
    (24, "IQ1_S"), (25, "IQ4_NL"), (26, "IQ3_S"), (27, "IQ3_M"), (28, "IQ2_S"), (29, "IQ2_M"), (30, "IQ4_XS"),
    (31, "IQ1_M"), (32, "BF16"), (36, "TQ1_0"), (37, "TQ2_0"), (38, "MXFP4_MOE"),
];

/// Returns the quantization of a `general.file_type`; `None` for an unknown one.
pub(super) fn quantization(file_type: u64) -> Option<&'static str> {
    let mut known = QUANTIZATIONS.into_iter();
    known.find_map(|(number, name)| (number == file_type).then_some(name))
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
