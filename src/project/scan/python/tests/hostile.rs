//! Texts made to exhaust the stack, the memory or the time.

use super::*;

const DEEP: usize = 100_000;

/// Texts that are flat, or whose nesting the parser limits: a name for failures, the start, what opens each level, the
/// middle, what closes each level, and the end.
#[rustfmt::skip]
const LIMITED: [[&str; 6]; 56] = [
    ["parentheses", "x = ", "(", "1", ")", ""],
    ["open parentheses", "", "(", "", "", ""],
    ["lists", "x = ", "[", "", "]", ""],
    ["open lists", "", "[", "", "", ""],
    ["sets", "x = ", "{", "1", "}", ""],
    ["dicts", "x = ", "{1:", "1", "}", ""],
    ["any bracket", "", "([{", "", "", ""],
    ["closing brackets", "", ")]}", "", "", ""],
    ["crossed brackets", "", "(]", "", "", ""],
    ["minus", "", "-", "1", "", ""],
    ["not", "", "not ", "1", "", ""],
    ["await", "", "await ", "1", "", ""],
    ["unary", "", "-~+not ", "1", "", ""],
    ["lambda", "", "lambda: ", "1", "", ""],
    ["ternary", "", "x if y else ", "1", "", ""],
    ["open ternary", "", "x if ", "", "", ""],
    ["nested calls", "", "f(", "", ")", ""],
    ["nested keywords", "", "f(a=", "1", ")", ""],
    ["nested subscripts", "", "a[", "1", "]", ""],
    ["power", "", "2**", "1", "", ""],
    ["comparison", "", "1<", "1", "", ""],
    ["and", "", "a and ", "b", "", ""],
    ["or and", "", "a or b and ", "c", "", ""],
    ["assignments", "", "a=", "1", "", ""],
    ["walrus", "", "(a:=", "1", ")", ""],
    ["yield", "", "(yield ", "1", ")", ""],
    ["comprehensions", "", "[a for a in ", "b", "]", ""],
    ["one comprehension", "[a ", "for a in b ", "", "", "]"],
    ["f-strings", "", "f'{", "1", "}'", ""],
    ["open f-strings", "", "f'{", "", "", ""],
    ["f-strings in turns", "", "f'''{f\"{", "1", "}\"}'''", ""],
    ["format specs", "f'{a:", "{a:", "1", "}", "}'"],
    ["t-strings", "", "t'{", "1", "}'", ""],
    ["decorators", "", "@a\n", "def f(): pass", "", ""],
    ["a long decorator", "@a", ".a", "\ndef f(): pass", "", ""],
    ["a long base", "class A(a", ".a", "): pass", "", ""],
    ["a long call in a function", "def f():\n Target", "()", "", "", ""],
    ["elif", "if a: pass\n", "elif a: pass\n", "", "", ""],
    ["one-line blocks", "", "if a: ", "pass", "", ""],
    ["one-line functions", "", "def f(): ", "pass", "", ""],
    ["async", "", "async ", "def f(): pass", "", ""],
    ["list patterns", "match x:\n case ", "[", "1", "]", ": pass"],
    ["class patterns", "match x:\n case ", "A(", "1", ")", ": pass"],
    ["mapping patterns", "match x:\n case ", "{1:", "1", "}", ": pass"],
    ["as in a pattern", "match x:\n case ", "a as ", "b", "", ": pass"],
    ["match", "", "match ", "", "", ""],
    ["with", "with ", "(", "a", ")", ": pass"],
    ["bounds", "class A[T: ", "(", "a", ")", "]: pass"],
    ["import", "import a", ".a", "", "", ""],
    ["relative import", "from ", ".", "", "", "  import a"],
    ["continuations", "", "\\\n", "1", "", ""],
    ["strings", "", "'a' ", "", "", ""],
    ["semicolons", "", "a;", "", "", ""],
    ["hidden after a quote", "f'{'", "lambda a=", "1", ":1", ""],
    ["hidden in a format", "f'{a!r'", "lambda a=", "1", ":1", ""],
    ["or patterns", "match x:\n case ", "1|", "1", "", ": pass"],
];

/// Texts whose nesting the parser does not limit.
#[rustfmt::skip]
const UNLIMITED: [[&str; 6]; 11] = [
    ["lambda in default", "", "lambda a=", "1", ":1", ""],
    ["lambda in second default", "", "lambda a,b=", "1", ":1", ""],
    ["open lambda in default", "", "lambda a=", "", "", ""],
    ["attributes", "a", ".a", "", "", ""],
    ["calls", "a", "()", "", "", ""],
    ["subscripts", "a", "[0]", "", "", ""],
    ["sum", "", "1+", "1", "", ""],
    ["sum of strings", "", "'a' + ", "'b'", "", ""],
    ["matmul", "", "a@", "a", "", ""],
    ["minus in a pattern", "match x:\n case ", "-", "1", "", ": pass"],
    ["sums in a pattern", "match x:\n case ", "1+", "1", "", ": pass"],
];

fn nested([_, start, open, middle, close, end]: [&str; 6], depth: usize) -> String {
    [
        start,
        &open.repeat(depth),
        middle,
        &close.repeat(depth),
        end,
    ]
    .concat()
}

#[test]
fn survives_nesting() {
    for row in LIMITED.into_iter().chain(UNLIMITED) {
        for depth in [150, 2_000, DEEP] {
            // The parser may accept or refuse it, but must return.
            if let Err(fault) = parse(&nested(row, depth)) {
                assert!(!fault.message.is_empty(), "{}", row[0]);
            }
        }
    }
}

#[test]
fn survives_nesting_up_to_the_limits() {
    for row in UNLIMITED {
        let is_refused = |depth| {
            let parsed = parse(&nested(row, depth));
            parsed.is_err_and(|fault| fault.message == "nested too deeply")
        };
        let (mut fits, mut refused) = (1, 16_000);
        while refused - fits > 1 {
            let middle = usize::midpoint(fits, refused);
            match is_refused(middle) {
                true => refused = middle,
                false => fits = middle,
            }
        }
        assert!(fits >= 99, "{}: {fits}", row[0]);
    }
}

#[test]
fn survives_nested_blocks() {
    for (open, body) in [
        ("if x:", "pass"),
        ("def f():", "pass"),
        ("class A:", "x = 1"),
        ("with a:", "pass"),
    ] {
        for (depth, is_parsed) in [(90, true), (2_500, false)] {
            let lines = (0..depth).map(|level| " ".repeat(level) + open + "\n");
            let text = lines.collect::<String>() + &" ".repeat(depth) + body;
            let parsed = parse(&text);
            assert_eq!(parsed.is_ok(), is_parsed, "{open} {depth}");
            if let Err(fault) = parsed {
                assert_eq!(fault.message, "nested too deeply");
            }
        }
    }
}

#[test]
fn refuses_nesting_deeper_than_python_allows() {
    for text in [
        "(".repeat(DEEP) + &")".repeat(DEEP),
        "x = 1\n".to_owned() + &"-".repeat(DEEP) + "1",
        "lambda a=".repeat(DEEP) + "1" + &":1".repeat(DEEP),
        "x = a".to_owned() + &".a".repeat(DEEP * 2),
    ] {
        assert_eq!(parse(&text).unwrap_err().message, "nested too deeply");
    }
    assert!(parse(&("(".repeat(190) + "1" + &")".repeat(190))).is_ok());
}

#[test]
fn accepts_long_flat_texts() {
    // Signs and lambdas are only limited when nested in each other.
    const MANY: usize = 20_000;
    for text in [
        format!("x = [{}]", "-1.5, ".repeat(MANY)),
        format!("x = [{}]", "lambda a: a, ".repeat(MANY)),
        format!("x = {{{}}}", "'a': {'b': [1, -2]},\n".repeat(MANY)),
        format!("x = ({})", "'some words '\n".repeat(MANY)),
        "x = a.b(-c)[0] + f(lambda d, e=1: d)\n".repeat(MANY),
        "x = f'{a.b(c):>{d}} {e!r}'\n".repeat(MANY),
        format!("x = {}1", "1 + ".repeat(10_000)),
    ] {
        assert_eq!(symbols(&text), "v:x", "{}", &text[..40]);
    }
}

#[test]
fn refuses_long_texts() {
    let text = "#".repeat(MAX_BYTES);
    assert_eq!(parse(&text), Ok(Module::default()));
    let fault = parse(&(text + "#")).unwrap_err();
    assert_eq!(
        (fault.line, fault.message.as_str()),
        (1, "longer than 4 MiB")
    );
}

#[test]
fn inherited_outputs_are_limited() {
    let names: String = (0..2_000).map(|n| format!("'a{n}',")).collect();
    let classes: String = (0..2_000).map(|n| format!("class B{n}(A): 0\n")).collect();
    let models = module(&format!("class A:\n outputs = [{names}]\n{classes}")).models;
    let count = |index: usize| models[index].outputs.as_ref().map(Vec::len);
    assert_eq!(
        (count(0), count(5), count(6), count(2_000)),
        (Some(2_000), Some(2_000), None, None)
    );
}
