//! Visiting a tree without going down on the stack: some branches are longer than any stack.

use ruff_python_ast::visitor::source_order::{SourceOrderVisitor, TraversalSignal};
use ruff_python_ast::{AnyNodeRef, Stmt};

/// Visits the nodes below some statements in order of the text, as deep as `visit` says: below a node for which it
/// returns `false` nothing is visited.
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

/// Collects the nodes directly below one.
struct Children<'a>(Vec<AnyNodeRef<'a>>);

impl<'a> SourceOrderVisitor<'a> for Children<'a> {
    fn enter_node(&mut self, node: AnyNodeRef<'a>) -> TraversalSignal {
        self.0.push(node);
        TraversalSignal::Skip
    }
}
