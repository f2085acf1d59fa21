//! Models: classes and functions that say what they compute.
//!
//! A class is one when a base's last name ends in `Model`, when a base is a model of the same file, or when it states
//! outputs. Outputs are stated by an attribute `outputs = ["a", "b"]`, by a decorator's keyword of that name, which makes
//! a function a model too, or by methods decorated with `@model_output("a")` or `@model_output`. What a class does not
//! state it has from its bases.

use std::collections::HashMap;

use ruff_python_ast::{Decorator, Expr, Stmt, StmtClassDef, StmtFunctionDef};

use super::ModelClass;
use super::definitions::Definition;
use super::literal;

/// How many names classes may have from their bases in one file: short classes below one that has many would take any
/// memory. What goes beyond is not stated.
const MAX_INHERITED: usize = 10_000;

/// Finds the models among a module's definitions.
pub(super) fn find(definitions: &[Definition<'_>]) -> Vec<ModelClass> {
    let mut models: Vec<ModelClass> = Vec::new();
    // The models so far: a base stands before what is derived from it.
    let mut known: HashMap<&str, usize> = HashMap::new();
    let mut inherited_names = 0;
    for definition in definitions {
        let mut outputs = Outputs::default();
        let bases = match definition {
            Definition::Class(class) => bases(class),
            Definition::Function(_) => Vec::new(),
        };
        let base = bases.iter().find_map(|name| known.get(name));
        let is_derived = base.is_some() || bases.iter().any(|name| name.ends_with("Model"));
        outputs.read_decorators(definition.decorators());
        if let Definition::Class(class) = definition {
            outputs.read_body(&class.body);
        }
        if !is_derived && !outputs.is_stated() {
            continue;
        }
        let inherited = base.and_then(|&index| models[index].outputs.as_deref());
        inherited_names += inherited.map_or(0, <[String]>::len);
        let inherited = inherited.filter(|_| inherited_names <= MAX_INHERITED);
        let model = ModelClass {
            name: definition.name().to_owned(),
            description: definition.description(),
            outputs: outputs.combine(inherited),
        };
        known.insert(definition.name(), models.len());
        models.push(model);
    }
    models
}

fn bases(class: &StmtClassDef) -> Vec<&str> {
    let arguments = class.arguments.as_deref();
    let bases = arguments.map_or(&[][..], |arguments| &arguments.args);
    bases.iter().filter_map(literal::last_name).collect()
}

/// The outputs that one class or function states.
#[derive(Default)]
struct Outputs<'a> {
    /// Those of lists, which stand for what the bases have.
    listed: Option<Vec<&'a str>>,
    /// Those of single methods, which add to what the bases have.
    methods: Vec<&'a str>,
    /// Whether some are stated in a way that only running would tell.
    is_unclear: bool,
}

impl<'a> Outputs<'a> {
    fn read_decorators(&mut self, decorators: &'a [Decorator]) {
        for (_, arguments) in decorators.iter().map(literal::decorator) {
            let outputs = arguments.and_then(|arguments| literal::keyword(arguments, "outputs"));
            if let Some(value) = outputs {
                self.read_list(value);
            }
        }
    }

    fn read_body(&mut self, body: &'a [Stmt]) {
        let is_outputs = |target: &Expr| {
            let name = target.as_name_expr();
            name.is_some_and(|name| name.id.as_str() == "outputs")
        };
        for statement in body {
            match statement {
                Stmt::Assign(assign) if assign.targets.iter().any(is_outputs) => {
                    self.read_list(&assign.value);
                }
                Stmt::AnnAssign(assign) if is_outputs(&assign.target) => {
                    if let Some(value) = &assign.value {
                        self.read_list(value);
                    }
                }
                Stmt::FunctionDef(method) => self.read_method(method),
                _ => {}
            }
        }
    }

    fn read_list(&mut self, value: &'a Expr) {
        match literal::strings(value) {
            Some(names) => self.listed.get_or_insert_default().extend(names),
            None => self.is_unclear = true,
        }
    }

    fn read_method(&mut self, method: &'a StmtFunctionDef) {
        for (name, arguments) in method.decorator_list.iter().map(literal::decorator) {
            if name != "model_output" {
                continue;
            }
            let stated = arguments.and_then(|arguments| {
                let first = arguments.args.first();
                literal::keyword(arguments, "name").or(first)
            });
            match stated.map(literal::string) {
                None => self.methods.push(method.name.as_str()),
                Some(Some(name)) => self.methods.push(name),
                Some(None) => self.is_unclear = true,
            }
        }
    }

    /// Returns whether at least some are stated as literals.
    fn is_stated(&self) -> bool {
        self.listed.is_some() || !self.methods.is_empty()
    }

    fn combine(self, inherited: Option<&[String]>) -> Option<Vec<String>> {
        if self.is_unclear || (!self.is_stated() && inherited.is_none()) {
            return None;
        }
        let listed = match &self.listed {
            Some(listed) => listed.clone(),
            None => inherited
                .into_iter()
                .flatten()
                .map(String::as_str)
                .collect(),
        };
        Some(super::distinct(listed.into_iter().chain(self.methods)))
    }
}
