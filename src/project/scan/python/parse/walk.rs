//! Visits a syntax tree without recursion: some branches are deeper than any stack.

use ruff_python_ast::visitor::source_order::{SourceOrderVisitor, TraversalSignal};
use ruff_python_ast::{AnyNodeRef, Stmt};

/// Visits the nodes of some statements, in order. Nodes below one for which `visit` returns `false` are skipped.
pub(super) fn walk<'a>(statements: &'a [Stmt], mut visit: impl FnMut(AnyNodeRef<'a>) -> bool) {
    let mut waiting: Vec<_> = statements.iter().rev().map(AnyNodeRef::from).collect();
    let mut children = Children(Vec::new());
    while let Some(node) = waiting.pop() {
        if visit(node) {
            node.visit_source_order(&mut children);
            waiting.extend(children.0.drain(..).rev());
        }
    }
}

/// Collects the child nodes of a node.
struct Children<'a>(Vec<AnyNodeRef<'a>>);

impl<'a> SourceOrderVisitor<'a> for Children<'a> {
    fn enter_node(&mut self, node: AnyNodeRef<'a>) -> TraversalSignal {
        self.0.push(node);
        TraversalSignal::Skip
    }
}
