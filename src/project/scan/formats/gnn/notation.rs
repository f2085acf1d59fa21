//! The two parts of the notation that are counted: declarations of variables, and connections between them.

/// What connects two variables: one way, the other, both or neither.
const OPERATORS: [char; 6] = ['-', '<', '>', '→', '←', '↔'];

/// The names that a line of `StateSpaceBlock` declares, such as `s[3,1,type=float], o[3,1]  # hidden, observed`.
pub(super) fn variables(line: &str) -> impl Iterator<Item = &str> {
    let mut rest = item(line);
    std::iter::from_fn(move || {
        let (name, after) = identifier(rest)?;
        rest = indices(after)?.trim_start_matches(|c: char| c.is_whitespace() || ",;".contains(c));
        Some(name)
    })
}

/// How many connections a line of `Connections` declares: one for each operator between two operands, so that `a-b-c` has
/// two, and a group on one side, such as `(A,B)->C`, is one. A line of another form has none.
pub(super) fn connections(line: &str) -> usize {
    chains(item(line)).unwrap_or(0)
}

/// Counts the connections of chains with commas between them; what follows a colon is said about them.
fn chains(text: &str) -> Option<usize> {
    let mut edges = 0;
    let mut rest = text;
    while !(rest.is_empty() || rest.starts_with(':')) {
        rest = operand(rest)?.trim_start();
        while rest.starts_with(OPERATORS) {
            rest = operand(rest.trim_start_matches(OPERATORS))?.trim_start();
            edges += 1;
        }
        rest = match rest.strip_prefix([',', ';']) {
            Some(next) => next.trim_start(),
            None if rest.is_empty() || rest.starts_with(':') => rest,
            None => return None,
        };
    }
    Some(edges)
}

/// Goes behind a variable, with or without indices, or a group of variables in parentheses.
fn operand(text: &str) -> Option<&str> {
    let text = text.trim_start();
    let Some(mut rest) = text.strip_prefix('(') else {
        return variable(text);
    };
    loop {
        rest = variable(rest.trim_start())?.trim_start();
        match rest.strip_prefix([',', ';']) {
            Some(next) => rest = next,
            None => return rest.strip_prefix(')'),
        }
    }
}

fn variable(text: &str) -> Option<&str> {
    let (_, rest) = identifier(text)?;
    // The next time step, such as `s_t+1`.
    let rest = match rest.strip_prefix('+') {
        Some(step) => step.trim_start_matches(|c: char| c.is_ascii_digit()),
        None => rest,
    };
    Some(indices(rest).unwrap_or(rest))
}

/// Splits off a name: letters of any script, digits, underscores, primes and what stands above or below a letter.
fn identifier(text: &str) -> Option<(&str, &str)> {
    let is_part = |c: char| {
        c.is_alphanumeric()
            || matches!(
                c,
                '_' | '^' | '\'' | '′' | '″' | '’' | '\u{300}'..='\u{36f}'
            )
    };
    if !text.starts_with(|c: char| c.is_alphabetic() || c == '_') {
        return None;
    }
    let end = text.find(|c| !is_part(c)).unwrap_or(text.len());
    Some(text.split_at(end))
}

/// Goes behind brackets and all that they enclose, to the end of the line when they do not close.
fn indices(text: &str) -> Option<&str> {
    let inner = text.trim_start().strip_prefix('[')?;
    let mut depth = 1_usize;
    for (at, c) in inner.char_indices() {
        match c {
            '[' => depth += 1,
            ']' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return Some(&inner[at + 1..]);
        }
    }
    Some("")
}

/// A line without its comment and without the mark of a list.
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
