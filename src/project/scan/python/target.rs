//! Targets: functions that compare an output of a model with data.
//!
//! A function is one when a decorator's last name ends in `target`, or when it calls something whose last name ends in
//! `Target` with a literal `model_output`. What the decorator does not state, the call does.

use ruff_python_ast::{AnyNodeRef, Arguments, StmtFunctionDef};

use super::TargetFunction;
use super::definitions::Definition;
use super::literal;
use super::walk::walk;

/// Finds the targets among a module's definitions.
pub(super) fn find(definitions: &[Definition<'_>]) -> Vec<TargetFunction> {
    let functions = definitions
        .iter()
        .filter_map(|definition| match definition {
            Definition::Class(_) => None,
            Definition::Function(function) => Some(function),
        });
    functions.filter_map(|function| read(function)).collect()
}

fn read(function: &StmtFunctionDef) -> Option<TargetFunction> {
    let mut decorators = function.decorator_list.iter().map(literal::decorator);
    let decorator = decorators.find(|(name, _)| name.ends_with("target"));
    let call = first_call(function);
    if decorator.is_none() && call.is_none() {
        return None;
    }
    let stated = [decorator.and_then(|(_, arguments)| arguments), call];
    let keyword = |name| {
        let mut stated = stated.into_iter().flatten();
        stated.find_map(move |arguments| literal::keyword(arguments, name))
    };
    let data = keyword("data").map(literal::strings_within);
    Some(TargetFunction {
        name: function.name.to_string(),
        model_output: keyword("model_output")
            .and_then(literal::string)
            .map(str::to_owned),
        data: super::distinct(data.unwrap_or_default()),
    })
}

/// Returns the arguments of the first call that makes a target, in the function's own body.
fn first_call(function: &StmtFunctionDef) -> Option<&Arguments> {
    let mut found = None;
    walk(&function.body, |node| match node {
        _ if found.is_some() => false,
        AnyNodeRef::StmtFunctionDef(_)
        | AnyNodeRef::StmtClassDef(_)
        | AnyNodeRef::ExprLambda(_) => false,
        AnyNodeRef::ExprCall(call) => {
            let output = literal::keyword(&call.arguments, "model_output");
            if literal::last_name(&call.func).is_some_and(|name| name.ends_with("Target"))
                && output.and_then(literal::string).is_some()
            {
                found = Some(&call.arguments);
            }
            true
        }
        _ => true,
    });
    found
}
