//! What expressions say without being run: names, and plain strings alone or in lists.

use ruff_python_ast::{Arguments, Decorator, Expr};

/// Returns a plain string; adjacent literals form one, and an f-string is not plain.
pub(super) fn string(expr: &Expr) -> Option<&str> {
    Some(expr.as_string_literal_expr()?.value.to_str())
}

/// Returns the strings of a list or tuple that holds nothing else.
pub(super) fn strings(expr: &Expr) -> Option<Vec<&str>> {
    items(expr)?.iter().map(string).collect()
}

/// Returns the strings that are stated: alone, in lists and tuples, and as values of dicts, in order of the text.
pub(super) fn strings_within(expr: &Expr) -> Vec<&str> {
    let mut found = Vec::new();
    let mut waiting = vec![expr];
    while let Some(expr) = waiting.pop() {
        if let Some(items) = items(expr) {
            waiting.extend(items.iter().rev());
        } else if let Expr::Dict(dict) = expr {
            waiting.extend(dict.items.iter().rev().map(|item| &item.value));
        } else {
            found.extend(string(expr));
        }
    }
    found
}

fn items(expr: &Expr) -> Option<&[Expr]> {
    match expr {
        Expr::List(list) => Some(&list.elts),
        Expr::Tuple(tuple) => Some(&tuple.elts),
        _ => None,
    }
}

/// Returns the last name of what is named or subscripted: `Model` of `lab.Model[int]`.
pub(super) fn last_name(mut expr: &Expr) -> Option<&str> {
    loop {
        match expr {
            Expr::Name(name) => return Some(name.id.as_str()),
            Expr::Attribute(attribute) => return Some(attribute.attr.as_str()),
            Expr::Subscript(subscript) => expr = &subscript.value,
            // Not on to what is called: of `a()()()…` that would be asked for every call.
            _ => return None,
        }
    }
}

/// Returns the last name of a decorator, empty when it has none, and its arguments when it is called.
pub(super) fn decorator(decorator: &Decorator) -> (&str, Option<&Arguments>) {
    let (named, arguments) = match &decorator.expression {
        Expr::Call(call) => (&*call.func, Some(&call.arguments)),
        expr => (expr, None),
    };
    (last_name(named).unwrap_or_default(), arguments)
}

/// Returns the value of a call's keyword.
pub(super) fn keyword<'a>(arguments: &'a Arguments, name: &str) -> Option<&'a Expr> {
    let keyword = arguments.find_keyword(name)?;
    Some(&keyword.value)
}
