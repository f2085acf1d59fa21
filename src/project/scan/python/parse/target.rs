//! Targets: functions that compare an output of a model with data.
//!
//! A function is one if the last name of a decorator ends in `target`, or if it calls something whose last name ends in
//! `Target` with a literal `model_output`. Arguments of the decorator precede those of the call.

use ruff_python_ast::{AnyNodeRef, Arguments, Stmt};

use super::super::TargetFunction;
use super::definitions::Definition;
use super::literal;
use super::walk::walk;

/// Returns the target that a definition is, if it is one.
pub(super) fn read(definition: &Definition<'_>) -> Option<TargetFunction> {
    if definition.is_class {
        return None;
    }
    let mut decorators = definition.decorators();
    let decorator = decorators.find(|(name, _)| name.ends_with("target"));
    let call = first_call(definition.body);
    if decorator.is_none() && call.is_none() {
        return None;
    }
    let arguments = [decorator.and_then(|(_, arguments)| arguments), call];
    let keyword = |name| {
        let mut arguments = arguments.into_iter().flatten();
        arguments.find_map(|arguments| literal::keyword(arguments, name))
    };
    let model_output = keyword("model_output").and_then(literal::string);
    let data = keyword("data").map(literal::strings_within);
    Some(TargetFunction {
        name: definition.name.to_owned(),
        model_output: model_output.map(str::to_owned),
        data: super::distinct(data.unwrap_or_default()),
    })
}

/// Returns the arguments of the first call that makes a target, outside of nested functions and classes.
fn first_call(body: &[Stmt]) -> Option<&Arguments> {
    let mut found = None;
    walk(body, |node| match node {
        _ if found.is_some() => false,
        AnyNodeRef::StmtFunctionDef(_)
        | AnyNodeRef::StmtClassDef(_)
        | AnyNodeRef::ExprLambda(_) => false,
        AnyNodeRef::ExprCall(call) => {
            let output = literal::keyword(&call.arguments, "model_output");
            let makes_target =
                literal::last_name(&call.func).is_some_and(|name| name.ends_with("Target"));
            if makes_target && output.and_then(literal::string).is_some() {
                found = Some(&call.arguments);
            }
            true
        }
        _ => true,
    });
    found
}
