//! The files that the Hub's libraries write beside weights. What they describe is the folder that they are in.
//!
//! | library | file | has one of |
//! |---|---|---|
//! | diffusers | `model_index.json`, and the `config.json` of a component | `_class_name` |
//! | PEFT | `adapter_config.json` | `peft_type` |
//! | sentence-transformers | `modules.json` | the type of a module |
//! | open_clip | `open_clip_config.json` | `model_cfg` |
//! | transformers | `config.json` | `architectures`, `model_type` |
//! | timm | `config.json` | `pretrained_cfg` |
//! | all, for weights in several files | `*.index.json` | `weight_map` |
//!
//! ```json
//! {"architectures": ["LlamaForCausalLM"], "model_type": "llama", "max_position_embeddings": 4096, "vocab_size": 32000}
//! ```
//!
//! Many programs have files of these names; the libraries' have these keys.

mod others;
#[cfg(test)]
mod tests;
mod transformers;

use serde::de::{Deserialize, IgnoredAny};
use serde_json::value::RawValue;

use super::BuiltIn;
use super::description::{Description, Extent};
use super::file::{ModelFile, if_known};
use super::json::{UniqueKeys, standard};
use super::part::PartName;
use crate::error::Result;
use crate::text::short_text;

/// The largest file that is read, in bytes: the index of a model with 90,000 tensors has 9 MB.
const MAX_CONFIG_BYTES: u64 = 32 << 20;

pub(super) const FORMAT: BuiltIn = BuiltIn("hub", read);

/// The values by key, not parsed until they are asked for; `None` for null.
type Config<'a> = UniqueKeys<Option<&'a RawValue>>;

/// A file that a library writes.
struct Rule {
    /// Its name, or the end of it after a `*`.
    file: &'static str,
    /// The library, if the file says which.
    library: &'static str,
    /// It has one of these texts.
    known_by: &'static [&'static str],
    /// What it says about its folder; `None` if it is another program's.
    describe: fn(&Config<'_>) -> Option<Description>,
}

/// What a file says about the whole of a model comes before what one says about a part of it, or about any model.
#[rustfmt::skip]
const RULES: [Rule; 8] = [
    Rule { file: "model_index.json", library: "diffusers", known_by: &["\"_class_name\""], describe: others::pipeline },
    Rule { file: "adapter_config.json", library: "peft", known_by: &["\"peft_type\""], describe: others::adapter },
    Rule { file: "modules.json", library: "sentence-transformers", known_by: &["\"sentence_transformers."], describe: others::embedding },
    Rule { file: "open_clip_config.json", library: "open_clip", known_by: &["\"model_cfg\""], describe: others::embedding },
    Rule { file: "config.json", library: "", known_by: &["\"architectures\"", "\"model_type\""], describe: transformers::describe },
    Rule { file: "config.json", library: "diffusers", known_by: &["\"_class_name\""], describe: others::component },
    Rule { file: "config.json", library: "timm", known_by: &["\"pretrained_cfg\""], describe: others::timm },
    Rule { file: "*.index.json", library: "", known_by: &["\"weight_map\""], describe: others::index },
];

/// The names that libraries give to the weights of any model, up to the first dot.
const WEIGHTS: [&str; 8] = [
    "model",
    "pytorch_model",
    "diffusion_pytorch_model",
    "adapter_model",
    "pytorch_lora_weights",
    "open_clip_model",
    "open_clip_pytorch_model",
    "consolidated",
];

/// How the names of the files begin or end that libraries keep beside weights.
const COMPANIONS: [&str; 4] = ["tokenizer", "vocab.", "config.json", "modules.json"];

impl Rule {
    fn is_for(&self, file_name: &str) -> bool {
        match self.file.strip_prefix('*') {
            Some(end) => file_name.ends_with(end),
            None => file_name == self.file,
        }
    }

    fn knows(&self, text: &str) -> bool {
        self.known_by.iter().any(|known| text.contains(known))
    }
}

/// Returns whether a file of this name may describe its folder. If such a file cannot be read, the folder is not taken apart.
pub(crate) fn is_configuration(file_name: &str) -> bool {
    RULES.iter().any(|rule| rule.is_for(file_name))
}

/// Returns whether a file has a name that a library gives to the weights of any model: that of the model is its folder's.
pub(crate) fn is_weights(file_name: &str) -> bool {
    let before_dot = || file_name.split('.').next().unwrap_or_default();
    let stem = PartName::of(file_name).map_or_else(before_dot, |part| part.stem);
    WEIGHTS.contains(&stem)
}

/// Returns whether a file has a name that libraries give to what they keep beside weights.
pub(crate) fn is_companion(file_name: &str) -> bool {
    let is_so = |name: &&str| file_name.starts_with(*name) || file_name.ends_with(*name);
    COMPANIONS.iter().any(is_so)
}

fn read(file: &ModelFile) -> Result<Option<Description>> {
    let name = file.file_name();
    if !is_configuration(name) {
        return Ok(None);
    }
    let rules = || (0..).zip(&RULES).filter(|(_, rule)| rule.is_for(name));
    let head = file.head_text()?;
    let is_known = rules().any(|(_, rule)| rule.knows(&head));
    let Some(text) = if_known(file.text(MAX_CONFIG_BYTES), is_known)? else {
        return Ok(None);
    };
    let text = standard(&text);
    // A list, as `modules.json` is, has no keys.
    let config = match text.trim_start().starts_with('[') {
        true => serde_json::from_str::<IgnoredAny>(&text).map(|_| Config::default()),
        false => serde_json::from_str(&text),
    };
    let config: Config<'_> = match config {
        Ok(config) => config,
        Err(_) if !is_known => return Ok(None),
        Err(error) => {
            let message = "the configuration is not JSON, or has a key twice";
            return Err(file.unreadable(message, error));
        }
    };
    let mut known = rules().filter(|(_, rule)| rule.knows(&text));
    Ok(known.find_map(|(rank, rule)| {
        let mut description = (rule.describe)(&config)?;
        description.tag(rule.library);
        description.extent = Extent::Folder;
        description.rank = rank;
        Some(description)
    }))
}

fn text(config: &Config<'_>, key: &str) -> Option<String> {
    short_text(&value::<String>(config, key)?)
}

/// Parses a value; `None` if it is missing, null or of another form.
fn value<'a, T: Deserialize<'a>>(config: &Config<'a>, key: &str) -> Option<T> {
    let value = (*config.0.get(key)?)?;
    serde_json::from_str(value.get()).ok()
}

/// Returns whether a name is an id on the Hub, such as `google/flan-t5-base`, and not a path on the disk of its author.
fn is_id(name: &str) -> bool {
    let is_name = |part: &str| {
        let mut chars = part.chars();
        part.starts_with(|c: char| c.is_ascii_alphanumeric())
            && chars.all(|c| c.is_ascii_alphanumeric() || "._-".contains(c))
    };
    name.splitn(2, '/').all(is_name)
}
