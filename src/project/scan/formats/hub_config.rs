//! The `config.json` that the Hub's libraries put beside weights
//! (<https://huggingface.co/docs/transformers/main_classes/configuration>).
//!
//! ```json
//! {"architectures": ["LlamaForCausalLM"], "model_type": "llama", "max_position_embeddings": 4096, "vocab_size": 32000}
//! ```
//!
//! One is meant when it has `architectures` or `model_type`; many programs have another file of this name. Where models
//! read more than text, what is said of the text is in `text_config`.

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

use super::ModelFormat;
use super::description::{Description, Extent, MAX_NAME_CHARS, kept};
use super::file::ModelFile;
use crate::error::{ErrorKind, Result};

/// The largest file that is read, in bytes: those that name 20,000 classes, twice, have half of it.
const MAX_CONFIG_BYTES: u64 = 4 << 20;

/// The keys by which one is known.
const KNOWN_BY: [&str; 2] = ["\"architectures\"", "\"model_type\""];

/// Reads `config.json` of the Hub's libraries.
#[derive(Debug)]
pub(super) struct HubConfig;

/// The keys that are looked at, as they are written: one of another form than it should have is left out.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct ConfigWire<'a> {
    #[serde(borrow)]
    architectures: Option<&'a RawValue>,
    model_type: Option<&'a RawValue>,
    #[serde(rename = "_name_or_path")]
    name_or_path: Option<&'a RawValue>,
    text_config: Option<&'a RawValue>,
    vision_config: Option<&'a RawValue>,
    quantization_config: Option<&'a RawValue>,
    torch_dtype: Option<&'a RawValue>,
    dtype: Option<&'a RawValue>,
    vocab_size: Option<&'a RawValue>,
    max_position_embeddings: Option<&'a RawValue>,
    n_positions: Option<&'a RawValue>,
    n_ctx: Option<&'a RawValue>,
    max_seq_len: Option<&'a RawValue>,
    max_sequence_length: Option<&'a RawValue>,
    seq_length: Option<&'a RawValue>,
    hidden_size: Option<&'a RawValue>,
    n_embd: Option<&'a RawValue>,
    d_model: Option<&'a RawValue>,
    num_hidden_layers: Option<&'a RawValue>,
    n_layer: Option<&'a RawValue>,
    num_layers: Option<&'a RawValue>,
}

#[derive(Debug, Deserialize)]
struct QuantizationWire {
    quant_method: String,
}

impl ModelFormat for HubConfig {
    fn name(&self) -> &'static str {
        "hub"
    }

    fn read(&self, file: &ModelFile) -> Result<Option<Description>> {
        if file.file_name() != "config.json" {
            return Ok(None);
        }
        let head = file.head_text()?;
        let is_known = KNOWN_BY.iter().any(|key| head.contains(key));
        let text = match file.text(MAX_CONFIG_BYTES) {
            // Somebody else's file may be anything.
            Err(error) if !is_known && matches!(error.kind(), ErrorKind::Registry { .. }) => {
                return Ok(None);
            }
            text => text?,
        };
        if !text.trim_start().starts_with('{') {
            return Ok(None);
        }
        match serde_json::from_str::<ConfigWire<'_>>(&text) {
            Ok(config) => Ok(describe(&config)),
            Err(_) if !is_known => Ok(None),
            Err(error) => {
                Err(file.unreadable("the configuration is not JSON, or has a key twice", error))
            }
        }
    }
}

/// `None` when the configuration is not that of a model.
fn describe(config: &ConfigWire<'_>) -> Option<Description> {
    let architectures: Option<Vec<String>> = value(config.architectures);
    let architecture = architectures.and_then(|all| kept(all.first()?, MAX_NAME_CHARS));
    let hub_type = short_text(config.model_type);
    if architecture.is_none() && hub_type.is_none() {
        return None;
    }
    let nested: ConfigWire<'_> = config
        .text_config
        .and_then(|json| serde_json::from_str(json.get()).ok())
        .unwrap_or_default();
    let model_type = model_type(
        architecture.as_deref().unwrap_or_default(),
        hub_type.as_deref().unwrap_or_default(),
        config.vision_config.is_some(),
    );
    let mut description = Description {
        name: short_text(config.name_or_path).filter(|name| is_id(name)),
        model_type: model_type.map(str::to_owned),
        extent: Extent::Folder,
        ..Description::default()
    };
    let number = |of: fn(&ConfigWire<'_>) -> Option<u64>| of(config).or_else(|| of(&nested));
    description.fact("architecture", architecture);
    description.fact("hub_model_type", hub_type);
    description.fact("vocab_size", number(|config| value(config.vocab_size)));
    description.fact("context_length", number(context_length));
    description.fact("hidden_size", number(hidden_size));
    description.fact("layers", number(layers));
    let dtype = |config: &ConfigWire<'_>| {
        short_text(config.torch_dtype).or_else(|| short_text(config.dtype))
    };
    description.fact("dtype", dtype(config).or_else(|| dtype(&nested)));
    let quantization: Option<QuantizationWire> = value(config.quantization_config);
    let method = quantization.and_then(|wire| kept(&wire.quant_method, MAX_NAME_CHARS));
    description.fact("quantization", method);
    Some(description)
}

fn context_length(config: &ConfigWire<'_>) -> Option<u64> {
    first_number([
        config.max_position_embeddings,
        config.n_positions,
        config.n_ctx,
        config.max_seq_len,
        config.max_sequence_length,
        config.seq_length,
    ])
}

fn hidden_size(config: &ConfigWire<'_>) -> Option<u64> {
    first_number([config.hidden_size, config.n_embd, config.d_model])
}

fn layers(config: &ConfigWire<'_>) -> Option<u64> {
    first_number([config.num_hidden_layers, config.n_layer, config.num_layers])
}

fn first_number<const N: usize>(values: [Option<&RawValue>; N]) -> Option<u64> {
    values.into_iter().find_map(value)
}

fn short_text(json: Option<&RawValue>) -> Option<String> {
    kept(&value::<String>(json)?, MAX_NAME_CHARS)
}

fn value<T: DeserializeOwned>(json: Option<&RawValue>) -> Option<T> {
    serde_json::from_str(json?.get()).ok()
}

/// Whether a name is an id on the Hub, such as `google/flan-t5-base`, and not a path on the disk of whoever saved it.
fn is_id(name: &str) -> bool {
    let is_name = |part: &str| {
        part.starts_with(|c: char| c.is_ascii_alphanumeric())
            && part
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || "._-".contains(c))
    };
    match name.split_once('/') {
        Some((owner, name)) => is_name(owner) && is_name(name),
        None => is_name(name),
    }
}

/// What a model does, by what the libraries call the class that runs it, and by whether a part of it sees; `None` when
/// neither tells.
fn model_type(architecture: &str, hub_type: &str, sees: bool) -> Option<&'static str> {
    let is = |known: &[&str]| known.iter().any(|known| hub_type.starts_with(known));
    let (_, task) = architecture.rsplit_once("For").unwrap_or_default();
    let ends = |known: &[&str]| known.iter().any(|known| architecture.ends_with(known));
    Some(match task {
        "CTC" | "SpeechSeq2Seq" | "SpeechToText" => "audio-to-text",
        "TextToSpeech" | "TextToWaveform" => "text-to-audio",
        "ImageTextToText" | "Vision2Seq" | "DocumentQuestionAnswering" => "image-to-text",
        "MaskedLM" | "PreTraining" => "embedding",
        "CausalLM" | "ConditionalGeneration" | "Seq2SeqLM" => match () {
            () if is(&["whisper", "speech_to_text", "moonshine"]) => "audio-to-text",
            () if is(&["musicgen", "speecht5", "bark", "csm", "dia"]) => "text-to-audio",
            () if sees => "image-to-text",
            () => "text-generation",
        },
        task if task.ends_with("Classification") => "classification",
        "" if ends(&["LMHeadModel"]) => "text-generation",
        "" if ends(&["EncoderModel", "BertModel", "RobertaModel", "CLIPModel"]) => "embedding",
        "" => return None,
        _ => "other",
    })
}

#[cfg(test)]
mod tests;
