//! What expressions state without being run: names, and plain strings alone or in lists.

use ruff_python_ast::{Arguments, Decorator, Expr};

/// Returns a plain string. Adjacent literals form one; an f-string is not plain.
pub(super) fn string(expr: &Expr) -> Option<&str> {
    Some(expr.as_string_literal_expr()?.value.to_str())
}

/// Returns the strings of a list or tuple; `None` if it contains anything else.
pub(super) fn strings(expr: &Expr) -> Option<Vec<&str>> {
    items(expr)?.iter().map(string).collect()
}

/// Returns all strings, in order: alone, in lists and tuples, and as values of dicts.
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

/// Returns the last name in an expression, such as `Model` in `lab.Model[int]`.
pub(super) fn last_name(mut expr: &Expr) -> Option<&str> {
    loop {
        match expr {
            Expr::Name(name) => return Some(name.id.as_str()),
            Expr::Attribute(attribute) => return Some(attribute.attr.as_str()),
            Expr::Subscript(subscript) => expr = &subscript.value,
            // The function of a call is not followed: each call in `a()()()…` would follow all those inside it.
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
    Some(&arguments.find_keyword(name)?.value)
}
