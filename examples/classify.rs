//! A `Manager` without a CLI: pulls a classifier of handwritten digits, loads it and classifies a few images.
//!
//! `cargo run --example classify`

#![allow(
    clippy::print_stdout,
    clippy::cast_possible_truncation,
    reason = "programs print; pixels are from 0 to 16"
)]

use std::error::Error;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use modelrack::transport::Url;
use modelrack::{
    Config, Manager, ManagerExt, ModelAddress, ModelManager, ModelRef, Progress, ProgressEvent,
};
use serde_json::Value;

/// Prints how much of each pull was downloaded.
#[derive(Debug)]
struct Narrator;

impl Progress for Narrator {
    fn on_event(&self, model: &ModelRef, event: &ProgressEvent) {
        if let ProgressEvent::Finished(transferred) = event {
            println!(
                "{model}: downloaded {} of {} bytes",
                transferred.bytes_network, transferred.total_bytes
            );
        }
    }
}

/// `logits = weight · pixels / 16 + bias`; the class is the largest.
struct Classifier {
    weight: Vec<f32>,
    bias: Vec<f32>,
}

impl Classifier {
    /// Reads the tensors `weight` [10, 64] and `bias` [10] of a safetensors file.
    fn load(path: &Path) -> Result<Self, Box<dyn Error>> {
        let bytes = fs::read(path)?;
        let header_bytes = usize::try_from(u64::from_le_bytes(bytes[..8].try_into()?))?;
        let header: Value = serde_json::from_slice(&bytes[8..8 + header_bytes])?;
        let tensor = |name: &str| -> Result<Vec<f32>, Box<dyn Error>> {
            let offset = |at: usize| -> Option<usize> {
                usize::try_from(header[name]["data_offsets"][at].as_u64()?).ok()
            };
            let (Some(begin), Some(end)) = (offset(0), offset(1)) else {
                return Err(format!("no tensor '{name}'").into());
            };
            let data = &bytes[8 + header_bytes..][begin..end];
            Ok(data
                .chunks_exact(4)
                .map(|four| f32::from_le_bytes([four[0], four[1], four[2], four[3]]))
                .collect())
        };
        Ok(Self {
            weight: tensor("weight")?,
            bias: tensor("bias")?,
        })
    }

    fn classify(&self, pixels: &[f32]) -> usize {
        let logit = |row: &[f32], bias: f32| {
            row.iter()
                .zip(pixels)
                .map(|(w, p)| w * p / 16.0)
                .sum::<f32>()
                + bias
        };
        let logits = self
            .weight
            .chunks_exact(64)
            .zip(&self.bias)
            .map(|(row, bias)| logit(row, *bias));
        logits
            .enumerate()
            .max_by(|a, b| a.1.total_cmp(&b.1))
            .map_or(0, |(class, _)| class)
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let examples = std::path::absolute(Path::new(env!("CARGO_MANIFEST_DIR")).join("examples"))?;
    let registry = Url::from_path(&examples.join("registry"))?;
    let config =
        Config::new("classify").bootstrap(format!("[sources.digits]\nurl = \"{registry}\"\n"));
    let manager: Arc<dyn Manager> = Arc::new(
        ModelManager::builder(config)
            .progress(Arc::new(Narrator))
            .build(),
    );

    let samples: Value =
        serde_json::from_slice(&fs::read(examples.join("digits").join("samples.json"))?)?;
    let samples = samples["samples"].as_array().cloned().unwrap_or_default();
    for version in ["v1", "v2"] {
        let path = manager.ensure(format!("digits/logistic {version}"))?;
        let classifier = Classifier::load(&path.join("model.safetensors"))?;
        let right = samples.iter().filter(|sample| {
            let pixels: Vec<f32> = sample["pixels"]
                .as_array()
                .into_iter()
                .flatten()
                .filter_map(|p| p.as_f64().map(|p| p as f32))
                .collect();
            sample["label"].as_u64() == Some(classifier.classify(&pixels) as u64)
        });
        println!(
            "digits/logistic {version} classifies {} of {} images correctly",
            right.count(),
            samples.len()
        );
    }
    let detail = manager.get(&ModelAddress::parse("digits/logistic", Some("v2"))?)?;
    println!(
        "it takes {} bytes in {}",
        detail.installed.total_bytes,
        detail.installed.path.display()
    );
    Ok(())
}
