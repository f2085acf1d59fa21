//! The `config.json` of transformers (<https://huggingface.co/docs/transformers/main_classes/configuration>).
//!
//! Models that read more than text describe their text part in `text_config`.

use super::super::description::Description;
use super::{Config, is_id, text, value};
use crate::text::short_text;

/// The numbers that are recorded, each with the keys that libraries use for it, in order of preference.
#[rustfmt::skip]
const NUMBERS: [(&str, &[&str]); 4] = [
    ("vocab_size", &["vocab_size"]),
    ("context_length", &["max_position_embeddings", "n_positions", "n_ctx", "max_seq_len", "max_sequence_length", "seq_length"]),
    ("hidden_size", &["hidden_size", "n_embd", "d_model"]),
    ("layers", &["num_hidden_layers", "n_layer", "num_layers"]),
];

/// Returns `None` if the configuration is not that of a model.
pub(super) fn describe(config: &Config<'_>) -> Option<Description> {
    let architectures: Option<Vec<String>> = value(config, "architectures");
    let architecture = architectures.and_then(|all| short_text(all.first()?));
    let hub_type = text(config, "model_type");
    if architecture.is_none() && hub_type.is_none() {
        return None;
    }
    let has_vision = config.0.get("vision_config").is_some_and(Option::is_some);
    let model_type = model_type(
        architecture.as_deref().unwrap_or_default(),
        hub_type.as_deref().unwrap_or_default(),
        has_vision,
    );
    let mut description = Description {
        name: text(config, "_name_or_path").filter(|name| is_id(name)),
        model_type: model_type.map(str::to_owned),
        ..Description::default()
    };
    let text_config: Config<'_> = value(config, "text_config").unwrap_or_default();
    let configs = [config, &text_config];
    for (fact, keys) in NUMBERS {
        let number = first(configs, keys, |config, key| value::<u64>(config, key));
        description.fact(fact, number);
    }
    description.fact("architecture", architecture);
    description.fact("hub_model_type", hub_type);
    description.fact("dtype", first(configs, &["torch_dtype", "dtype"], text));
    let quantization: Config<'_> = value(config, "quantization_config").unwrap_or_default();
    description.fact("quantization", text(&quantization, "quant_method"));
    Some(description)
}

/// Returns the first value that can be read: of any key in the first configuration, else of any in the second.
fn first<T>(
    configs: [&Config<'_>; 2],
    keys: &[&str],
    read: impl Fn(&Config<'_>, &str) -> Option<T>,
) -> Option<T> {
    let read_any = |config| keys.iter().find_map(|key| read(config, key));
    configs.into_iter().find_map(read_any)
}

/// Returns what a model does, by the name of the class that runs it and by whether it has a vision part; `None` if neither
/// tells.
pub(super) fn model_type(
    architecture: &str,
    hub_type: &str,
    has_vision: bool,
) -> Option<&'static str> {
    let is_any = |types: &[&str]| types.iter().any(|name| hub_type.starts_with(name));
    let ends = |classes: &[&str]| classes.iter().any(|name| architecture.ends_with(name));
    let (_, task) = architecture.rsplit_once("For").unwrap_or_default();
    Some(match task {
        "CTC" | "SpeechSeq2Seq" | "SpeechToText" => "audio-to-text",
        "TextToSpeech" | "TextToWaveform" => "text-to-audio",
        "ImageTextToText" | "Vision2Seq" | "DocumentQuestionAnswering" => "image-to-text",
        "MaskedLM" | "PreTraining" => "embedding",
        "CausalLM" | "ConditionalGeneration" | "Seq2SeqLM" => {
            if is_any(&["whisper", "speech_to_text", "moonshine"]) {
                "audio-to-text"
            } else if is_any(&["musicgen", "speecht5", "bark", "csm", "dia"]) {
                "text-to-audio"
            } else if has_vision {
                "image-to-text"
            } else {
                "text-generation"
            }
        }
        task if task.ends_with("Classification") => "classification",
        "" if architecture.ends_with("LMHeadModel") => "text-generation",
        "" if ends(&["EncoderModel", "BertModel", "RobertaModel", "CLIPModel"]) => "embedding",
        "" => return None,
        _ => "other",
    })
}
