//! The names at a module's top level, and the classes and functions among them.

use std::collections::BTreeMap;

use ruff_python_ast::{
    AnyNodeRef, Decorator, ExprContext, Identifier, Stmt, StmtClassDef, StmtFunctionDef,
    StmtImport, StmtImportFrom,
};

use super::Symbol;
use super::literal;
use super::walk::walk;

/// A class or function at a module's top level.
#[derive(Clone, Copy)]
pub(super) enum Definition<'a> {
    Class(&'a StmtClassDef),
    Function(&'a StmtFunctionDef),
}

impl<'a> Definition<'a> {
    pub(super) fn name(self) -> &'a str {
        match self {
            Self::Class(class) => class.name.as_str(),
            Self::Function(function) => function.name.as_str(),
        }
    }

    pub(super) fn decorators(self) -> &'a [Decorator] {
        match self {
            Self::Class(class) => &class.decorator_list,
            Self::Function(function) => &function.decorator_list,
        }
    }

    pub(super) fn body(self) -> &'a [Stmt] {
        match self {
            Self::Class(class) => &class.body,
            Self::Function(function) => &function.body,
        }
    }

    /// Returns the first line of the docstring that is not blank.
    pub(super) fn description(self) -> Option<String> {
        let Some(Stmt::Expr(first)) = self.body().first() else {
            return None;
        };
        let text = literal::string(&first.value)?;
        let mut lines = text.lines().map(str::trim);
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
        let mut found = Self::default();
        walk(statements, |node| found.visit(node));
        found
    }

    /// Takes what a node binds; returns whether more of the module's own names may be below it.
    fn visit(&mut self, node: AnyNodeRef<'a>) -> bool {
        match node {
            AnyNodeRef::StmtClassDef(class) => {
                self.bind(&class.name, Symbol::Class);
                self.items.push(Definition::Class(class));
                return false;
            }
            AnyNodeRef::StmtFunctionDef(function) => {
                self.is_open |= function.name.as_str() == "__getattr__";
                self.bind(&function.name, Symbol::Function);
                self.items.push(Definition::Function(function));
                return false;
            }
            AnyNodeRef::StmtImport(import) => self.import(import),
            AnyNodeRef::StmtImportFrom(import) => self.import_from(import),
            // `x: int` alone says something of a name, and does not bind it.
            AnyNodeRef::StmtAnnAssign(assign) => return assign.value.is_some(),
            AnyNodeRef::ExprName(name) if name.ctx == ExprContext::Store => {
                self.bind(&name.id, Symbol::Value);
            }
            AnyNodeRef::ExprName(name) => self.is_open |= name.id.as_str() == "globals",
            AnyNodeRef::PatternMatchAs(pattern) => self.bind_if_named(pattern.name.as_ref()),
            AnyNodeRef::PatternMatchStar(pattern) => self.bind_if_named(pattern.name.as_ref()),
            AnyNodeRef::PatternMatchMapping(pattern) => self.bind_if_named(pattern.rest.as_ref()),
            // What these bind is their own.
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

    fn import(&mut self, import: &StmtImport) {
        for alias in &import.names {
            match &alias.asname {
                Some(name) => self.bind(name, Symbol::Import),
                // `import a.b` binds `a`.
                None => {
                    let first = alias.name.split('.').next();
                    self.bind(first.unwrap_or_default(), Symbol::Import);
                }
            }
        }
    }

    fn import_from(&mut self, import: &StmtImportFrom) {
        for alias in &import.names {
            if alias.name.as_str() == "*" {
                self.is_open = true;
            } else {
                self.bind(alias.asname.as_ref().unwrap_or(&alias.name), Symbol::Import);
            }
        }
    }

    fn bind_if_named(&mut self, name: Option<&Identifier>) {
        if let Some(name) = name {
            self.bind(name, Symbol::Value);
        }
    }

    fn bind(&mut self, name: &str, symbol: Symbol) {
        let known = self.symbols.entry(name.to_owned()).or_insert(symbol);
        *known = symbol.min(*known);
    }
}
