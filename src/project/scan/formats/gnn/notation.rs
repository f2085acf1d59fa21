//! The two parts of the notation that are counted: variables and connections.

/// Connects two variables in one direction, the other, both or none.
const OPERATORS: [char; 6] = ['-', '<', '>', '→', '←', '↔'];
/// Separates variables, and chains of connections.
const SEPARATORS: [char; 2] = [',', ';'];

/// Returns the names that a line of `StateSpaceBlock` declares, such as `s[3,1,type=float], o[3,1]  # hidden, observed`.
pub(super) fn variables(line: &str) -> impl Iterator<Item = &str> {
    let mut rest = item(line);
    std::iter::from_fn(move || {
        let (name, after) = identifier(rest)?;
        rest = indices(after)?
            .trim_start_matches(|c: char| c.is_whitespace() || SEPARATORS.contains(&c));
        Some(name)
    })
}

/// Returns the variable of a line of `StateSpaceBlock` whose brackets are not closed.
pub(super) fn unclosed(line: &str) -> Option<&str> {
    let mut rest = item(line);
    loop {
        let (name, after) = identifier(rest)?;
        let Some(after) = brackets(after)? else {
            return Some(name);
        };
        rest = after.trim_start_matches(|c: char| c.is_whitespace() || SEPARATORS.contains(&c));
    }
}

/// Returns what is wrong with a line of `Connections`, if it is certainly meant to be one.
pub(super) fn connection_fault(line: &str) -> Option<&'static str> {
    let text = item(line).split(':').next().unwrap_or_default().trim_end();
    if let Some(mut rest) = text.strip_prefix('(') {
        while let Some(after) = variable(rest) {
            if after.starts_with(OPERATORS) {
                return Some("a group is not closed");
            }
            match after.strip_prefix(SEPARATORS) {
                Some(next) => rest = next,
                None => break,
            }
        }
    }
    let is_one = operand(text)?.starts_with(OPERATORS);
    (is_one && text.ends_with(OPERATORS)).then_some("a connection leads nowhere")
}

/// Returns how many connections a line of `Connections` declares: one for each operator between two operands, so that
/// `a-b-c` has two. A group such as `(A,B)` is one operand. A line of another form has none.
pub(super) fn connections(line: &str) -> usize {
    chains(item(line)).unwrap_or(0)
}

/// Counts the connections of chains with separators between them, up to a colon, which starts a remark.
fn chains(text: &str) -> Option<usize> {
    let mut edges = 0;
    let mut rest = text;
    while !rest.is_empty() && !rest.starts_with(':') {
        rest = operand(rest)?;
        while rest.starts_with(OPERATORS) {
            rest = operand(rest.trim_start_matches(OPERATORS))?;
            edges += 1;
        }
        match rest.strip_prefix(SEPARATORS) {
            Some(next) => rest = next.trim_start(),
            None if rest.is_empty() || rest.starts_with(':') => break,
            None => return None,
        }
    }
    Some(edges)
}

/// Returns what follows a variable, with or without indices, or a group of variables in parentheses.
fn operand(text: &str) -> Option<&str> {
    let text = text.trim_start();
    let Some(mut rest) = text.strip_prefix('(') else {
        return variable(text);
    };
    loop {
        rest = variable(rest)?;
        match rest.strip_prefix(SEPARATORS) {
            Some(next) => rest = next,
            None => return rest.strip_prefix(')').map(str::trim_start),
        }
    }
}

/// Returns what follows a variable and the spaces behind it.
fn variable(text: &str) -> Option<&str> {
    let (_, rest) = identifier(text.trim_start())?;
    // The next time step, such as `s_t+1`.
    let rest = match rest.strip_prefix('+') {
        Some(step) => step.trim_start_matches(|c: char| c.is_ascii_digit()),
        None => rest,
    };
    Some(indices(rest).unwrap_or(rest).trim_start())
}

/// Splits a name off: letters of any script, digits, underscores, primes and combining characters.
fn identifier(text: &str) -> Option<(&str, &str)> {
    let is_mark = |c| {
        matches!(
            c,
            '_' | '^' | '\'' | '′' | '″' | '’' | '\u{300}'..='\u{36f}'
        )
    };
    let is_part = |c: char| c.is_alphanumeric() || is_mark(c);
    if !text.starts_with(|c: char| c.is_alphabetic() || c == '_') {
        return None;
    }
    Some(text.split_at(text.find(|c| !is_part(c)).unwrap_or(text.len())))
}

/// Returns what follows brackets with all that they enclose; nothing follows brackets that are not closed.
fn indices(text: &str) -> Option<&str> {
    brackets(text).map(Option::unwrap_or_default)
}

/// Returns what follows brackets, `None` if these are not closed; `None` if the text does not begin with any.
fn brackets(text: &str) -> Option<Option<&str>> {
    let text = text.trim_start();
    let mut depth = 0_usize;
    let is_end = |c: char| {
        match c {
            '[' => depth += 1,
            ']' => depth -= 1,
            _ => {}
        }
        depth == 0
    };
    text.starts_with('[')
        .then(|| text.split_once(is_end).map(|(_, after)| after))
}

/// Returns a line without its comment and without the bullet of a list.
fn item(line: &str) -> &str {
    let line = line.split('#').next().unwrap_or_default().trim();
    let marked = line.strip_prefix("- ").or_else(|| line.strip_prefix("* "));
    marked.map_or(line, str::trim_start)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_are_names_with_indices() {
        let cases: [(&str, &[&str]); 12] = [
            ("A[3,3,type=float]   # B[3] is another", &["A"]),
            ("# Likelihood: A[rows, columns]", &[]),
            ("π[3], s_prime[3,1]; o'[2]", &["π", "s_prime", "o'"]),
            ("G[π,type=float]", &["G"]),
            ("s_τ [2] A₁[2] x̂[1]", &["s_τ", "A₁", "x̂"]),
            ("- D[3]", &["D"]),
            ("N[A[1], 2] M[1]", &["N", "M"]),
            ("open[3", &["open"]),
            ("see A[3]", &[]),
            ("3[3]", &[]),
            ("[3]", &[]),
            ("", &[]),
        ];
        for (line, names) in cases {
            assert_eq!(variables(line).collect::<Vec<_>>(), names, "{line}");
        }
    }

    #[test]
    fn faults_are_what_is_certainly_one() {
        for (line, name) in [
            ("A[2,2  # 2]", Some("A")),
            ("s[1] B[2, o[3]", Some("B")),
            ("- D[3", Some("D")),
            ("A[2,2]", None),
            ("A [[2], 2] B", None),
            ("see A[3", None),
            ("", None),
        ] {
            assert_eq!(unclosed(line), name, "{line}");
        }
        let (open, nowhere) = (
            Some("a group is not closed"),
            Some("a connection leads nowhere"),
        );
        for (line, fault) in [
            ("D>", nowhere),
            ("D>s -  # s", nowhere),
            ("(A,B->C", open),
            ("(A->C", open),
            ("(A,B)->C", None),
            ("(see the non-linear case", None),
            ("What follows -", None),
            ("-----", None),
            ("D>s: the prior >", None),
            ("D", None),
            ("", None),
        ] {
            assert_eq!(connection_fault(line), fault, "{line}");
        }
    }

    #[test]
    fn connections_are_operators_between_operands() {
        let cases = [
            ("D>s", 1),
            ("A > s  # comment > more", 1),
            ("s-A", 1),
            ("(A,B)->C", 1),
            ("( A ; B ) <-> (C)", 1),
            ("a-b-c", 2),
            ("D>s, s-A; E>π", 3),
            ("s_t>s_t+1", 1),
            ("A[1,2] → s'", 1),
            ("D>s: the prior > all", 1),
            ("- u>s_prime", 1),
            ("* u>s_prime,", 1),
            ("# D>s", 0),
            ("The state depends on what was > before", 0),
            ("D>", 0),
            (">D", 0),
            ("(A,B->C", 0),
            ("()->C", 0),
            ("D", 0),
            ("", 0),
        ];
        for (line, edges) in cases {
            assert_eq!(connections(line), edges, "{line}");
        }
    }
}
