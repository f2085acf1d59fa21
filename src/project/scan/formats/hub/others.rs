//! What the configurations of other libraries than transformers say.

use super::super::description::Description;
use super::{Config, is_id, text, value};

/// Words in the names of pipelines, and what such pipelines do. Any other makes images.
const PIPELINES: [(&str, &str); 12] = [
    ("Audio", "text-to-audio"),
    ("MusicLDM", "text-to-audio"),
    ("DanceDiffusion", "text-to-audio"),
    ("Video", "other"),
    ("Animat", "other"),
    ("Wan", "other"),
    ("LTX", "other"),
    ("Mochi", "other"),
    ("2V", "other"),
    ("Allegro", "other"),
    ("ShapE", "other"),
    ("Marigold", "other"),
];

/// The index of a pipeline of diffusers, which has its components in folders.
pub(super) fn pipeline(config: &Config<'_>) -> Option<Description> {
    let class = text(config, "_class_name")?;
    let known = PIPELINES.iter().find(|(word, _)| class.contains(word));
    let model_type = known.map_or("text-to-image", |(_, model_type)| model_type);
    let mut description = doing(Some(model_type));
    description.name = text(config, "_name_or_path").filter(|name| is_id(name));
    description.fact("architecture", Some(class));
    Some(description)
}

/// A component of such a pipeline, alone.
pub(super) fn component(config: &Config<'_>) -> Option<Description> {
    let class = text(config, "_class_name")?;
    let mut description = doing(None);
    description.fact("architecture", Some(class));
    Some(description)
}

/// An adapter of PEFT, and the model that it is for: its id on the Hub, and not a path on the disk of its author.
pub(super) fn adapter(config: &Config<'_>) -> Option<Description> {
    let method = text(config, "peft_type")?;
    let task = text(config, "task_type").unwrap_or_default();
    let mut description = doing(match task.as_str() {
        "CAUSAL_LM" | "SEQ_2_SEQ_LM" => Some("text-generation"),
        "SEQ_CLS" | "TOKEN_CLS" => Some("classification"),
        "FEATURE_EXTRACTION" => Some("embedding"),
        _ => None,
    });
    description.tag("adapter");
    description.fact("adapter", Some(method));
    description.fact("adapter_rank", value::<u64>(config, "r"));
    let base = text(config, "base_model_name_or_path");
    description.fact("base_model", base.filter(|name| is_id(name)));
    Some(description)
}

/// A model of sentence-transformers or open_clip.
#[expect(clippy::unnecessary_wraps, reason = "it has the form of its siblings")]
pub(super) fn embedding(_: &Config<'_>) -> Option<Description> {
    Some(doing(Some("embedding")))
}

pub(super) fn timm(config: &Config<'_>) -> Option<Description> {
    let architecture = text(config, "architecture")?;
    let classes = value::<u64>(config, "num_classes");
    let mut description = doing(classes.map(|_| "classification"));
    description.fact("architecture", Some(architecture));
    description.fact("classes", classes);
    description.fact("hidden_size", value::<u64>(config, "num_features"));
    Some(description)
}

/// The list of the files that the weights are in.
pub(super) fn index(config: &Config<'_>) -> Option<Description> {
    (config.0.contains_key("weight_map")).then(Description::default)
}

fn doing(model_type: Option<&str>) -> Description {
    Description {
        model_type: model_type.map(str::to_owned),
        ..Description::default()
    }
}
