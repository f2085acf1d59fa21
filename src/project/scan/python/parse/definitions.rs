//! The names at a module's top level, and the classes and functions among them.

use std::collections::BTreeMap;

use ruff_python_ast::{
    AnyNodeRef, Arguments, Decorator, Expr, ExprContext, PatternMatchAs, PatternMatchMapping,
    PatternMatchStar, Stmt,
};

use super::super::Symbol;
use super::literal;
use super::walk::walk;

/// A class or function at a module's top level.
pub(super) struct Definition<'a> {
    pub(super) name: &'a str,
    pub(super) is_class: bool,
    /// The bases of a class.
    pub(super) bases: &'a [Expr],
    decorators: &'a [Decorator],
    pub(super) body: &'a [Stmt],
}

impl<'a> Definition<'a> {
    /// Returns the last name of each decorator, and its arguments.
    pub(super) fn decorators(&self) -> impl Iterator<Item = (&'a str, Option<&'a Arguments>)> {
        self.decorators.iter().map(literal::decorator)
    }

    /// Returns the first line of the docstring that is not blank.
    pub(super) fn description(&self) -> Option<String> {
        let Some(Stmt::Expr(first)) = self.body.first() else {
            return None;
        };
        let mut lines = literal::string(&first.value)?.lines().map(str::trim);
        lines.find(|line| !line.is_empty()).map(str::to_owned)
    }
}

/// What a module's top level binds: directly, or inside an `if`, `try`, `with`, `match` or loop.
#[derive(Default)]
pub(super) struct Definitions<'a> {
    pub(super) symbols: BTreeMap<String, Symbol>,
    pub(super) is_open: bool,
    pub(super) items: Vec<Definition<'a>>,
}

impl<'a> Definitions<'a> {
    pub(super) fn collect(statements: &'a [Stmt]) -> Self {
        let mut definitions = Self::default();
        walk(statements, |node| definitions.visit(node));
        definitions
    }

    /// Adds what a node binds; returns whether the nodes below it may bind names of the module.
    fn visit(&mut self, node: AnyNodeRef<'a>) -> bool {
        match node {
            AnyNodeRef::StmtClassDef(class) => {
                self.bind(&class.name, Symbol::Class);
                let arguments = class.arguments.as_deref();
                self.items.push(Definition {
                    name: &class.name,
                    is_class: true,
                    bases: arguments.map_or(&[], |arguments| &arguments.args),
                    decorators: &class.decorator_list,
                    body: &class.body,
                });
                return false;
            }
            AnyNodeRef::StmtFunctionDef(function) => {
                self.is_open |= function.name.as_str() == "__getattr__";
                self.bind(&function.name, Symbol::Function);
                self.items.push(Definition {
                    name: &function.name,
                    is_class: false,
                    bases: &[],
                    decorators: &function.decorator_list,
                    body: &function.body,
                });
                return false;
            }
            AnyNodeRef::Alias(alias) => match (&alias.asname, alias.name.as_str()) {
                (Some(name), _) => self.bind(name, Symbol::Import),
                (None, "*") => self.is_open = true,
                // `import a.b` binds `a`.
                (None, name) => self.bind(name.split('.').next().unwrap_or(name), Symbol::Import),
            },
            // `x: int` alone describes a name without binding it.
            AnyNodeRef::StmtAnnAssign(assign) => return assign.value.is_some(),
            AnyNodeRef::ExprName(name) if name.ctx == ExprContext::Store => {
                self.bind(&name.id, Symbol::Value);
            }
            AnyNodeRef::ExprName(name) => self.is_open |= name.id.as_str() == "globals",
            AnyNodeRef::PatternMatchAs(PatternMatchAs {
                name: Some(name), ..
            })
            | AnyNodeRef::PatternMatchStar(PatternMatchStar {
                name: Some(name), ..
            })
            | AnyNodeRef::PatternMatchMapping(PatternMatchMapping {
                rest: Some(name), ..
            }) => {
                self.bind(name, Symbol::Value);
            }
            // These have a scope of their own.
            AnyNodeRef::ExprLambda(_)
            | AnyNodeRef::ExprListComp(_)
            | AnyNodeRef::ExprSetComp(_)
            | AnyNodeRef::ExprDictComp(_)
            | AnyNodeRef::ExprGenerator(_)
            | AnyNodeRef::TypeParams(_) => return false,
            _ => {}
        }
        true
    }

    fn bind(&mut self, name: &str, symbol: Symbol) {
        let known = self.symbols.entry(name.to_owned()).or_insert(symbol);
        *known = symbol.min(*known);
    }
}
