//! Whether the code matches the registry. It is parsed, never run.

use std::collections::{BTreeMap, BTreeSet};

use super::{Category, Finding, Remedy};
use crate::error::{Result, chain};
use crate::modelstoml::{ModelEntry, TargetEntry};
use crate::project::change::candidate::symbol_of;
use crate::project::change::sync::successor;
use crate::project::home::Project;
use crate::project::item::{ItemId, ItemKind};
use crate::project::scan::python::{Entrypoint, Module};
use crate::relpath::RelPath;

/// Modules by their files, each read once.
type Modules = BTreeMap<RelPath, Result<Module>>;

impl Project {
    /// Checks the entrypoints of all models and targets.
    pub(super) fn check_code(&self, findings: &mut Vec<Finding>) {
        let mut modules = Modules::new();
        for (id, model) in &self.registry().entries {
            let item = ItemId::new(ItemKind::Model, id);
            if let Some(text) = &model.entrypoint {
                let compare = |module: &_, symbol: &_| model.compare_code(module, symbol);
                findings.extend(self.check_entrypoint(&item, text, &mut modules, compare));
            }
        }
        for (id, target) in &self.registry().targets {
            let (item, text) = (ItemId::new(ItemKind::Target, id), &target.entrypoint);
            let compare = |module: &_, symbol: &_| target.compare_code(module, symbol);
            let mut finding = self.check_entrypoint(&item, text, &mut modules, compare);
            if let Some(finding) = &mut finding
                && finding.category == Category::MissingSymbol
                && let Some(Ok(module)) = modules.get(&target.path)
                && successor(self.registry(), target, module).is_none()
            {
                finding.remedy = Some(Remedy::ChooseFunction {
                    target: id.clone(),
                    path: target.path.clone(),
                    module: text.split(':').next().unwrap_or_default().to_owned(),
                    model_output: target.model_output.clone(),
                });
            }
            findings.extend(finding);
        }
        self.check_new_targets(&modules, findings);
    }

    /// Finds unregistered targets in files with registered ones, unless one of those is missing: the new one may replace it.
    fn check_new_targets(&self, modules: &Modules, findings: &mut Vec<Finding>) {
        let mut registered: BTreeMap<&RelPath, BTreeSet<&str>> = BTreeMap::new();
        for target in self.registry().targets.values() {
            let symbols = registered.entry(&target.path).or_default();
            symbols.insert(symbol_of(&target.entrypoint));
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
                findings.push(Finding::new(
                    Category::Untracked,
                    None,
                    format!("'{file}' has the target '{name}', which is not registered"),
                    Remedy::Add {
                        path: file.to_string(),
                    },
                ));
            }
        }
    }

    /// Checks that an entrypoint exists and is as registered; `compare` returns how it differs.
    fn check_entrypoint(
        &self,
        item: &ItemId,
        text: &str,
        modules: &mut Modules,
        compare: impl FnOnce(&Module, &str) -> Option<String>,
    ) -> Option<Finding> {
        let found = |category, message: String, remedy: Option<Remedy>| {
            Some(Finding::new(category, item.clone(), message, remedy))
        };
        let Some(entrypoint) = Entrypoint::parse(text) else {
            let message = format!("Invalid entrypoint '{}'", text.escape_debug());
            let remedy = Remedy::CorrectEntrypoint;
            return found(Category::InvalidEntrypoint, message, Some(remedy));
        };
        let Some(file) = self.module_file(&entrypoint) else {
            let candidates = entrypoint.candidates();
            let message = format!("Module not found for entrypoint '{text}'");
            let remedy = Remedy::CreateModule { candidates };
            return found(Category::MissingModule, message, Some(remedy));
        };
        let module = modules
            .entry(file.clone())
            .or_insert_with(|| self.read_module(&file));
        let module = match module {
            Ok(module) => module,
            Err(cause) => {
                let message = format!("Cannot parse {}", chain(cause));
                let remedy = Remedy::CorrectFile { path: file };
                return found(Category::SyntaxError, message, Some(remedy));
            }
        };
        if cfg!(not(feature = "python")) {
            let message =
                format!("Entrypoint '{text}' was not checked: this build does not read Python");
            return found(Category::NotChecked, message, None);
        }
        let symbol = entrypoint.name();
        if module.lacks(symbol) {
            let kind = match item.kind {
                ItemKind::Model => "Class",
                ItemKind::Target => "Function",
            };
            let message = format!("{kind} '{symbol}' not found in {file}");
            return found(Category::MissingSymbol, message, Some(Remedy::Resync));
        }
        let message = compare(module, symbol)?;
        found(Category::Stale, message, Some(Remedy::Resync))
    }
}

impl ModelEntry {
    /// Returns how the registered outputs differ from those in the code.
    fn compare_code(&self, module: &Module, symbol: &str) -> Option<String> {
        let class = module.models.iter().find(|class| class.name == symbol)?;
        let outputs = class.outputs.as_ref()?;
        if *outputs == self.outputs || self.given.contains("outputs") {
            return None;
        }
        let shown = |outputs: &[String]| match outputs {
            [] => "none".to_owned(),
            some => format!("'{}'", some.join("', '")),
        };
        let (registered, now) = (shown(&self.outputs), shown(outputs));
        Some(format!(
            "Registered outputs are {registered}, but the code has {now}"
        ))
    }
}

impl TargetEntry {
    /// Returns how the registered model output differs from the one in the code.
    fn compare_code(&self, module: &Module, symbol: &str) -> Option<String> {
        let mut functions = module.targets.iter();
        let function = functions.find(|function| function.name == symbol)?;
        let (registered, now) = (&self.model_output, function.model_output.as_ref()?);
        (now != registered).then(|| {
            format!("Registered for model output '{registered}', but the code has '{now}'")
        })
    }
}
