//! Whether the code has what the registry says of it. It is parsed, and never run.

use std::collections::{BTreeMap, BTreeSet};

use super::{Category, Finding, Severity, in_command};
use crate::error::{Result, chain};
use crate::modelstoml::{ModelEntry, TargetEntry};
use crate::project::home::Project;
use crate::project::item::ItemKind;
use crate::project::scan::python::{Entrypoint, Module};
use crate::relpath::RelPath;

/// Modules by their files, each read once.
type Modules = BTreeMap<RelPath, Result<Module>>;

impl Project {
    /// Checks the entrypoints of all models and targets.
    pub(super) fn check_code(&self, findings: &mut Vec<Finding>) {
        let mut modules = Modules::new();
        for (id, entry) in &self.registry().entries {
            let Some(text) = &entry.entrypoint else {
                continue;
            };
            let subject = Subject {
                kind: ItemKind::Model,
                id,
                entrypoint: text,
            };
            if let Some((file, symbol)) = self.check_entrypoint(&subject, &mut modules, findings)
                && let Some(Ok(module)) = modules.get(&file)
            {
                findings.extend(subject.compare_model(entry, module, &symbol));
            }
        }
        for (id, target) in &self.registry().targets {
            let subject = Subject {
                kind: ItemKind::Target,
                id,
                entrypoint: &target.entrypoint,
            };
            if let Some((file, symbol)) = self.check_entrypoint(&subject, &mut modules, findings)
                && let Some(Ok(module)) = modules.get(&file)
            {
                findings.extend(subject.compare_target(target, module, &symbol));
            }
        }
        self.check_new_targets(&modules, findings);
    }

    /// Finds targets that nobody registered in files with others that are. Where one of those is gone, the new one may be it.
    fn check_new_targets(&self, modules: &Modules, findings: &mut Vec<Finding>) {
        let mut registered: BTreeMap<&RelPath, BTreeSet<&str>> = BTreeMap::new();
        for target in self.registry().targets.values() {
            let symbol = target.entrypoint.rsplit(':').next().unwrap_or_default();
            registered.entry(&target.path).or_default().insert(symbol);
        }
        for (file, symbols) in registered {
            let Some(Ok(module)) = modules.get(file) else {
                continue;
            };
            if symbols.iter().any(|symbol| module.lacks(symbol)) {
                continue;
            }
            let names = module.targets.iter().map(|function| function.name.as_str());
            for name in names.filter(|name| !symbols.contains(name)) {
                findings.push(Finding {
                    severity: Severity::Warning,
                    entity: None,
                    category: Category::Untracked,
                    message: format!("'{file}' has the target '{name}', which is not registered"),
                    suggestion: Some(format!(
                        "Run 'registry add {}' to register it",
                        in_command(file.as_str())
                    )),
                });
            }
        }
    }

    /// Checks that an entrypoint leads to something; returns the file and the name in it when it does.
    fn check_entrypoint(
        &self,
        subject: &Subject<'_>,
        modules: &mut Modules,
        findings: &mut Vec<Finding>,
    ) -> Option<(RelPath, String)> {
        let Some(entrypoint) = Entrypoint::parse(subject.entrypoint) else {
            findings.push(subject.error(
                Category::InvalidEntrypoint,
                format!("Invalid entrypoint '{}'", subject.entrypoint.escape_debug()),
                format!("Use the form 'package.module:{}'", subject.kind_of_symbol()),
            ));
            return None;
        };
        let Some(file) = self.module_file(&entrypoint) else {
            let expected: Vec<String> = entrypoint
                .candidates()
                .iter()
                .map(ToString::to_string)
                .collect();
            findings.push(subject.error(
                Category::MissingModule,
                format!("Module not found for entrypoint '{}'", subject.entrypoint),
                format!("Expected one of: {}", expected.join(", ")),
            ));
            return None;
        };
        let module = modules
            .entry(file.clone())
            .or_insert_with(|| self.read_module(&file));
        match module {
            Err(error) => {
                findings.push(subject.error(
                    Category::SyntaxError,
                    format!("Cannot parse {}", chain(error)),
                    format!("Correct {file}"),
                ));
                None
            }
            Ok(_) if cfg!(not(feature = "python")) => {
                findings.push(Finding {
                    severity: Severity::Note,
                    category: Category::NotChecked,
                    message: format!(
                        "Entrypoint '{}' was not checked: this build does not read Python",
                        subject.entrypoint
                    ),
                    entity: Some((subject.kind, subject.id.to_owned())),
                    suggestion: None,
                });
                None
            }
            Ok(module) if !module.lacks(entrypoint.name()) => {
                Some((file, entrypoint.name().to_owned()))
            }
            Ok(_) => {
                let (kind, symbol) = (subject.kind_of_symbol(), entrypoint.name());
                findings.push(subject.error(
                    Category::MissingSymbol,
                    format!("{kind} '{symbol}' not found in {file}"),
                    "Run 'registry sync' to update the registry from the code".into(),
                ));
                None
            }
        }
    }
}

/// A model or target whose entrypoint is checked.
struct Subject<'a> {
    kind: ItemKind,
    id: &'a str,
    entrypoint: &'a str,
}

impl Subject<'_> {
    fn kind_of_symbol(&self) -> &'static str {
        match self.kind {
            ItemKind::Model => "Class",
            ItemKind::Target => "Function",
        }
    }

    fn compare_model(&self, entry: &ModelEntry, module: &Module, symbol: &str) -> Option<Finding> {
        let class = module.models.iter().find(|class| class.name == symbol)?;
        let outputs = class.outputs.as_ref()?;
        if *outputs == entry.outputs || entry.given.contains("outputs") {
            return None;
        }
        let shown = |outputs: &[String]| match outputs {
            [] => "none".to_owned(),
            some => some
                .iter()
                .map(|output| format!("'{output}'"))
                .collect::<Vec<_>>()
                .join(", "),
        };
        let (registered, now) = (shown(&entry.outputs), shown(outputs));
        Some(self.stale(format!(
            "Registered outputs are {registered}, and the code has {now}"
        )))
    }

    fn compare_target(
        &self,
        target: &TargetEntry,
        module: &Module,
        symbol: &str,
    ) -> Option<Finding> {
        let function = module
            .targets
            .iter()
            .find(|function| function.name == symbol)?;
        let now = function
            .model_output
            .as_ref()
            .filter(|now| **now != target.model_output)?;
        let registered = &target.model_output;
        Some(self.stale(format!(
            "Registered for model output '{registered}', and the code has '{now}'"
        )))
    }

    fn stale(&self, message: String) -> Finding {
        Finding {
            severity: Severity::Warning,
            entity: Some((self.kind, self.id.to_owned())),
            category: Category::Stale,
            message,
            suggestion: Some("Run 'registry sync' to update the registry from the code".into()),
        }
    }

    fn error(&self, category: Category, message: String, suggestion: String) -> Finding {
        Finding {
            severity: Severity::Error,
            entity: Some((self.kind, self.id.to_owned())),
            category,
            message,
            suggestion: Some(suggestion),
        }
    }
}
