//! What is stale or broken in a project, and how to mend it. Nothing is changed, and no code is run.

mod code;
mod files;

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::sync::Arc;

pub(in crate::project) use self::files::is_absence;
use self::files::listed;
use crate::error::Result;
use crate::modelstoml::ProjectRegistry;
use crate::progress::CancelToken;
use crate::project::home::Project;
use crate::project::item::ItemKind;
use crate::project::scan::hash::HashProgress;
use crate::project::work_tree::path_in_work_tree;
use crate::setters::setters;

/// How to look at a project.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct StatusOptions {
    /// Hash every file. Default: those whose size or time says that they may have changed.
    pub deep: bool,
    /// Stops the work when it is cancelled.
    pub cancel: CancelToken,
    /// Learns how far the hashing is.
    pub progress: Option<Arc<dyn HashProgress>>,
}

setters!(StatusOptions {
    deep: bool,
    cancel: CancelToken,
    progress: Arc<dyn HashProgress>,
});

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Severity {
    /// What is published would not work.
    Error,
    /// The registry is not true to the files, or says too little.
    Warning,
    /// Worth knowing.
    Note,
}

impl Severity {
    /// Returns the name that machine output uses.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
            Self::Note => "note",
        }
    }
}

/// What a finding is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Category {
    /// A registered file is not there.
    MissingFile,
    /// An entrypoint is not of the form `package.module:Name`.
    InvalidEntrypoint,
    /// The module of an entrypoint is not there.
    MissingModule,
    /// The module of an entrypoint cannot be parsed.
    SyntaxError,
    /// The module has no such class or function.
    MissingSymbol,
    /// A target looks at an output that no model has.
    OutputPairing,
    /// Files or code differ from what is registered.
    Stale,
    /// Code is registered without what it computes.
    EmptyOutputs,
    /// A file belongs to no model, and looks as if it should; or a target that is not registered stands beside those that are.
    Untracked,
    /// No target looks at an output.
    UnusedOutput,
    /// An entrypoint whose module was not read: the feature `python` is off.
    NotChecked,
}

impl Category {
    /// Returns the name that machine output uses.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::MissingFile => "missing_file",
            Self::InvalidEntrypoint => "invalid_entrypoint",
            Self::MissingModule => "missing_module",
            Self::SyntaxError => "syntax_error",
            Self::MissingSymbol => "missing_symbol",
            Self::OutputPairing => "output_pairing",
            Self::Stale => "stale",
            Self::EmptyOutputs => "empty_outputs",
            Self::Untracked => "untracked",
            Self::UnusedOutput => "unused_output",
            Self::NotChecked => "not_checked",
        }
    }
}

/// Something that is not as it should be.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub struct Finding {
    /// How bad it is.
    pub severity: Severity,
    /// The model or target that it is about; `None` for the project.
    pub entity: Option<(ItemKind, String)>,
    /// What it is about.
    pub category: Category,
    /// What is the matter, in a sentence.
    pub message: String,
    /// How to mend it, in a sentence.
    pub suggestion: Option<String>,
}

/// The state of a project.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct StatusReport {
    /// What was found: errors first, then by model and target.
    pub findings: Vec<Finding>,
    /// How many models are registered.
    pub models: usize,
    /// How many targets are registered.
    pub targets: usize,
    /// How many files they have together, each counted once.
    pub files: usize,
    /// How many of these were hashed.
    pub files_hashed: usize,
}

impl StatusReport {
    /// Counts the findings of a severity.
    #[must_use]
    pub fn count(&self, severity: Severity) -> usize {
        let of = |finding: &&Finding| finding.severity == severity;
        self.findings.iter().filter(of).count()
    }
}

impl Project {
    /// Looks for what is stale or broken. Nothing is changed.
    ///
    /// # Errors
    /// The storage errors, for what cannot be looked at; [`ErrorKind::Cancelled`](crate::ErrorKind::Cancelled).
    pub fn status(&self, options: &StatusOptions) -> Result<StatusReport> {
        let registry = self.registry();
        let mut report = StatusReport {
            models: registry.entries.len(),
            targets: registry.targets.len(),
            ..StatusReport::default()
        };
        report.findings.extend(self.check_root()?);
        self.check_files(options, &mut report)?;
        self.check_code(&mut report.findings);
        self.check_untracked(&mut report.findings)?;
        check_outputs(registry, &mut report.findings);
        report.findings.sort();
        Ok(report)
    }
}

/// A path as every shell takes it; `PATH` for one that some shell would take for more than a path.
fn in_command(path: &str) -> Cow<'_, str> {
    let is_plain = |c: char| c.is_alphanumeric() || "-_./".contains(c);
    if path.starts_with('-') {
        in_command(&format!("./{path}")).into_owned().into()
    } else if path.chars().all(is_plain) {
        path.into()
    } else if path.contains(['"', '\'', '$', '`', '!', '%']) {
        "PATH".into()
    } else {
        format!("\"{path}\"").into()
    }
}

impl Project {
    /// Checks that readers look for the files where they are in the repository.
    fn check_root(&self) -> Result<Option<Finding>> {
        let root = self.registry().root();
        let now = path_in_work_tree(self.root())?;
        let moved = now.filter(|now| now != root && !self.registry().entries.is_empty());
        let shown = |path: &str| match path {
            "" => "the top of its repository".to_owned(),
            path => format!("'{path}' in its repository"),
        };
        Ok(moved.map(|now| Finding {
            severity: Severity::Warning,
            entity: None,
            category: Category::Stale,
            message: format!(
                "Registered at {}, and the project is at {}",
                shown(root),
                shown(&now)
            ),
            suggestion: Some("Run 'registry sync' to register where it is now".into()),
        }))
    }
}

/// Checks that what models compute and what targets look at fit together.
fn check_outputs(registry: &ProjectRegistry, findings: &mut Vec<Finding>) {
    let outputs = registry.entries.values().flat_map(|entry| &entry.outputs);
    let available: BTreeSet<&str> = outputs.map(String::as_str).collect();
    let choices = listed(&available.iter().copied().collect::<Vec<_>>());
    for (id, target) in &registry.targets {
        let output = &target.model_output;
        if available.contains(output.as_str()) {
            continue;
        }
        let suggestion = match choices.is_empty() {
            true => format!("Register a model with output '{output}': none has outputs yet"),
            false => format!(
                "Register a model with output '{output}', or let the target use one of: {choices}"
            ),
        };
        findings.push(Finding {
            severity: Severity::Error,
            entity: Some((ItemKind::Target, id.clone())),
            category: Category::OutputPairing,
            message: format!("Target expects model output '{output}' but no model provides it"),
            suggestion: Some(suggestion),
        });
    }
    let targets = registry.targets.values();
    let used: BTreeSet<&String> = targets.map(|target| &target.model_output).collect();
    for (id, entry) in &registry.entries {
        let finding = |severity, category, message: String, suggestion: Option<String>| Finding {
            severity,
            entity: Some((ItemKind::Model, id.clone())),
            category,
            message,
            suggestion,
        };
        if entry.entrypoint.is_some() && entry.outputs.is_empty() {
            findings.push(finding(
                Severity::Warning,
                Category::EmptyOutputs,
                "Model has an entrypoint and no outputs".into(),
                Some(format!(
                    "Run 'registry add {} --outputs NAME' to say what it computes",
                    in_command(&entry.path)
                )),
            ));
        }
        if used.is_empty() {
            continue;
        }
        for output in entry.outputs.iter().filter(|output| !used.contains(output)) {
            let message = format!("No target looks at output '{output}'");
            findings.push(finding(
                Severity::Note,
                Category::UnusedOutput,
                message,
                None,
            ));
        }
    }
}
