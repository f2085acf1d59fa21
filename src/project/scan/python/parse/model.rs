//! Models: classes and functions that declare what they compute.
//!
//! A class is one if the last name of a base ends in `Model`, if a base is a model of the same file, or if it states
//! outputs. Outputs are stated by an attribute `outputs = ["a", "b"]`, by an argument of that name to a decorator, which
//! makes a function a model too, or by methods decorated with `@model_output("a")` or `@model_output`. A class inherits the
//! outputs that it does not state.

use std::collections::HashMap;

use ruff_python_ast::{Expr, Stmt, StmtFunctionDef};

use super::super::ModelClass;
use super::definitions::Definition;
use super::literal;

/// How many outputs classes may inherit in one file: with a long list in a base, many short classes would exhaust the
/// memory. Beyond that, outputs are not stated.
const MAX_INHERITED: usize = 10_000;

/// Finds the models among a module's definitions.
pub(super) fn find(definitions: &[Definition<'_>]) -> Vec<ModelClass> {
    let mut models: Vec<ModelClass> = Vec::new();
    // The models so far: a base precedes the classes that are derived from it.
    let mut known: HashMap<&str, usize> = HashMap::new();
    let mut inherited_names = 0;
    for definition in definitions {
        let bases = definition.bases.iter().filter_map(literal::last_name);
        let base = bases.clone().find_map(|name| known.get(name));
        let is_derived = base.is_some() || bases.clone().any(|name| name.ends_with("Model"));
        let outputs = Outputs::of(definition);
        if !is_derived && !outputs.is_stated() {
            continue;
        }
        let inherited = base.and_then(|&index| models[index].outputs.as_deref());
        inherited_names += inherited.map_or(0, <[String]>::len);
        let inherited = inherited.filter(|_| inherited_names <= MAX_INHERITED);
        let model = ModelClass {
            name: definition.name.to_owned(),
            description: definition.description(),
            outputs: outputs.combine(inherited),
        };
        known.insert(definition.name, models.len());
        models.push(model);
    }
    models
}

/// The outputs that a class or function states.
#[derive(Default)]
struct Outputs<'a> {
    /// Those in lists, which replace inherited ones.
    listed: Option<Vec<&'a str>>,
    /// Those of methods, which add to inherited ones.
    methods: Vec<&'a str>,
    /// Whether some are stated in a way that only running the code would tell.
    is_unclear: bool,
}

impl<'a> Outputs<'a> {
    fn of(definition: &Definition<'a>) -> Self {
        let mut outputs = Self::default();
        for (_, arguments) in definition.decorators() {
            outputs
                .read_list(arguments.and_then(|arguments| literal::keyword(arguments, "outputs")));
        }
        let is_outputs = |target: &Expr| {
            let name = target.as_name_expr();
            name.is_some_and(|name| name.id.as_str() == "outputs")
        };
        let body = definition.body.iter().filter(|_| definition.is_class);
        for statement in body {
            match statement {
                Stmt::Assign(assign) if assign.targets.iter().any(is_outputs) => {
                    outputs.read_list(Some(&assign.value));
                }
                Stmt::AnnAssign(assign) if is_outputs(&assign.target) => {
                    outputs.read_list(assign.value.as_deref());
                }
                Stmt::FunctionDef(method) => outputs.read_method(method),
                _ => {}
            }
        }
        outputs
    }

    fn read_list(&mut self, value: Option<&'a Expr>) {
        match value.map(literal::strings) {
            None => {}
            Some(Some(names)) => self.listed.get_or_insert_default().extend(names),
            Some(None) => self.is_unclear = true,
        }
    }

    fn read_method(&mut self, method: &'a StmtFunctionDef) {
        for (name, arguments) in method.decorator_list.iter().map(literal::decorator) {
            if name != "model_output" {
                continue;
            }
            let stated = arguments.and_then(|arguments| {
                literal::keyword(arguments, "name").or(arguments.args.first())
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
        let inherited = inherited.into_iter().flatten().map(String::as_str);
        let listed = self.listed.unwrap_or_else(|| inherited.collect());
        Some(super::distinct(listed.into_iter().chain(self.methods)))
    }
}
