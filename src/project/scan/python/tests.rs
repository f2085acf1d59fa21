//! What modules define. Texts that attack the parser are in [`hostile`].

mod hostile;

use super::*;

fn module(text: &str) -> Module {
    parse(text).unwrap_or_else(|fault| panic!("{fault:?} in {text}"))
}

/// The names that a text binds, each after the first letter of its kind.
fn symbols(text: &str) -> String {
    let symbols = module(text).symbols.into_iter().map(|(name, symbol)| {
        let letter = match symbol {
            Symbol::Class => 'c',
            Symbol::Function => 'f',
            Symbol::Import => 'i',
            Symbol::Value => 'v',
        };
        format!("{letter}:{name}")
    });
    symbols.collect::<Vec<_>>().join(" ")
}

fn outputs(text: &str) -> Option<Vec<String>> {
    let models = module(text).models;
    let model = models.last().unwrap_or_else(|| panic!("no model: {text}"));
    model.outputs.clone()
}

#[test]
fn finds_the_names_bound_at_top_level() {
    for (text, expected) in [
        ("", ""),
        ("# nothing\n", ""),
        ("def f(): pass", "f:f"),
        ("async def f(): pass", "f:f"),
        ("class A: pass", "c:A"),
        ("class A[T]: pass", "c:A"),
        ("@a.b(c)\n@d\nclass A: pass", "c:A"),
        ("@a\ndef f(x=(y := 1)): pass", "f:f"),
        ("x = 1", "v:x"),
        ("x = y = 1", "v:x v:y"),
        ("x: int = 1", "v:x"),
        ("x: int", ""),
        ("x, (y, *z) = 1, (2, 3)", "v:x v:y v:z"),
        ("[x, y] = 1, 2", "v:x v:y"),
        ("x.y = 1\nx[0] = 1", ""),
        ("x += 1", "v:x"),
        ("type X[T] = list[T]", "v:X"),
        ("(x := 1)", "v:x"),
        ("import a", "i:a"),
        ("import a.b.c, d", "i:a i:d"),
        ("import a.b as c", "i:c"),
        ("from x import y", "i:y"),
        ("from x import y as z, w", "i:w i:z"),
        ("from . import y", "i:y"),
        ("from .x import (y,\n z)", "i:y i:z"),
        (
            "if a:\n f = 1\nelif b:\n def g(): pass\nelse:\n class H: pass",
            "c:H v:f f:g",
        ),
        (
            "try:\n import a\nexcept A as e:\n b = 1\nelse:\n c = 1\nfinally:\n d = 1",
            "i:a v:b v:c v:d",
        ),
        (
            "try:\n from x import f\nexcept ImportError:\n def f(): pass",
            "f:f",
        ),
        ("def f(): pass\nf = wrap(f)", "f:f"),
        ("with a as b, c as (d, e):\n f = 1", "v:b v:d v:e v:f"),
        ("for x, y in z:\n a = 1\nelse:\n b = 1", "v:a v:b v:x v:y"),
        ("while x:\n a = 1\nelse:\n b = 1", "v:a v:b"),
        (
            "match x:\n case [a, *b]: c = 1\n case {'k': d, **e}: pass\n case A(f) as g: pass",
            "v:a v:b v:c v:d v:e v:f v:g",
        ),
        ("if a:\n if b:\n  try:\n   x = 1\n  finally: pass", "v:x"),
        ("def f():\n x = 1\n def g(): pass\n import y", "f:f"),
        ("class A:\n x = 1\n def g(): pass", "c:A"),
        (
            "[x for x in y]\n{x: 1 for x in y}\n(lambda x: (z := x))",
            "",
        ),
        ("del x", ""),
        ("größe = 1\n模型 = 2", "v:größe v:模型"),
        ("if x: a = 1; b = 2", "v:a v:b"),
        ("print(f'{(x := 1)}')", "v:x"),
    ] {
        let mut found: Vec<_> = symbols(text).split(' ').map(str::to_owned).collect();
        let mut expected: Vec<_> = expected.split(' ').map(str::to_owned).collect();
        found.sort();
        expected.sort();
        assert_eq!(found, expected, "{text}");
    }
}

#[test]
fn names_that_may_come_from_elsewhere_are_not_missing() {
    for (text, is_open) in [
        ("from x import y", false),
        ("from x import *", true),
        ("try:\n from .x import *\nexcept ImportError: pass", true),
        ("def f():\n pass", false),
        ("def __getattr__(name): ...", true),
        ("class A:\n def __getattr__(self, name): ...", false),
        ("globals().update(x=1)", true),
        ("globals()['x'] = 1", true),
    ] {
        let module = module(text);
        assert_eq!(module.is_open, is_open, "{text}");
        assert_eq!(module.lacks("absent"), !is_open, "{text}");
    }
    assert!(!module("def f(): pass").lacks("f"));
}

#[test]
fn finds_models_and_their_outputs() {
    for (text, expected) in [
        ("class A(Model): pass", None),
        ("class A(BaseModel): pass", None),
        ("class A(lab.base.Model[int], metaclass=M): pass", None),
        ("class A(Model):\n outputs = ['a', 'b']", Some("a b")),
        ("class A:\n outputs = ['a', 'b']", Some("a b")),
        (
            "class A:\n outputs: ClassVar[tuple[str, ...]] = ('a', 'b')",
            Some("a b"),
        ),
        ("class A:\n outputs = []", Some("")),
        (
            "class A:\n outputs = ['a' 'b', \"c\", r'd', 'a' 'b']",
            Some("ab c d"),
        ),
        ("class A(Model):\n outputs = ['a', f'{b}']", None),
        ("class A(Model):\n outputs = ['a', B]", None),
        ("class A(Model):\n outputs = ['a'] + B", None),
        ("class A(Model):\n outputs = [*B, 'a']", None),
        ("class A(Model):\n outputs: list", None),
        ("class A(Model):\n outputs = 'a'", None),
        ("@register(outputs=['a'])\nclass A: pass", Some("a")),
        (
            "@lab.register('x', outputs=('a', 'b'))\n@other\nasync def f(): pass",
            Some("a b"),
        ),
        (
            "class A:\n @model_output('a')\n def f(self): pass",
            Some("a"),
        ),
        (
            "class A:\n @lab.model_output(name='a')\n def f(self): pass\n @model_output\n async def g(self): pass",
            Some("a g"),
        ),
        ("@make()(outputs=['a'])\nclass A: pass", Some("a")),
        ("class A:\n @model_output()\n def f(self): pass", Some("f")),
        (
            "class A(Model):\n @model_output(X)\n def f(self): pass",
            None,
        ),
        (
            "class A:\n outputs = ['z', 'b']\n @model_output('b')\n def f(self): pass\n @model_output\n def a(self): pass",
            Some("z b a"),
        ),
        ("class A(Model): pass\nclass B(A): pass", None),
        (
            "class A(Model):\n outputs = ['a']\nclass B(A): pass",
            Some("a"),
        ),
        (
            "class A(Model):\n outputs = ['a']\nclass B(A):\n outputs = ['b']",
            Some("b"),
        ),
        (
            "class A(Model):\n outputs = ['a']\nclass B(A):\n @model_output\n def b(self): pass",
            Some("a b"),
        ),
        ("if x:\n class A:\n  outputs = ['a']", Some("a")),
    ] {
        let expected = expected.map(|names| names.split_whitespace().map(str::to_owned).collect());
        assert_eq!(outputs(text), expected, "{text}");
    }
}

#[test]
fn other_code_is_not_a_model() {
    for text in [
        "class A: pass",
        "class Model: pass",
        "class A(Modelled): pass",
        "class A(make('Model')): pass",
        "class A(makeModel()): pass",
        "outputs = ['a']",
        "def f():\n outputs = ['a']",
        "class A:\n outputs = make()",
        "class A:\n def f(self):\n  outputs = ['a']",
        "@register(outputs=make())\ndef f(): pass",
        "def f():\n class A(Model): pass",
    ] {
        assert_eq!(module(text).models, [], "{text}");
    }
}

#[test]
fn describes_models_by_their_docstrings() {
    for (text, expected) in [
        (
            "class A(Model):\n '''\n\n  Says it.\n\n  More.\n '''",
            Some("Says it."),
        ),
        ("class A(Model):\n 'Says ' 'it.'\n x = 1", Some("Says it.")),
        ("class A(Model):\n x = 1\n 'Says it.'", None),
        ("class A(Model):\n f'Says it.'", None),
        ("class A(Model):\n b'Says it.'", None),
        ("class A(Model):\n '  '", None),
        ("@a(outputs=['x'])\ndef f():\n 'Says it.'", Some("Says it.")),
    ] {
        let models = module(text).models;
        assert_eq!(models[0].description.as_deref(), expected, "{text}");
    }
}

#[test]
fn finds_targets() {
    for (text, output, data) in [
        (
            "@calibration_target(model_output='a', data={'observed': 'd/x.csv'})\ndef f(d): pass",
            Some("a"),
            "d/x.csv",
        ),
        ("@lab.target\ndef f(): pass", None, ""),
        (
            "@target(model_output=A, data='x.csv')\ndef f(): pass",
            None,
            "x.csv",
        ),
        (
            "@target(data=['x', ('y', 'x'), Z])\ndef f():\n return Target(model_output='a')",
            Some("a"),
            "x y",
        ),
        (
            "@target(model_output='b')\ndef f():\n return Target(model_output='a', data='x')",
            Some("b"),
            "x",
        ),
        (
            "def f():\n return Target(model_output='a', data={'b': 'x', 'c': ['y'], **d})",
            Some("a"),
            "x y",
        ),
        (
            "async def f():\n if x:\n  t = lab.LossTarget(1, model_output='a' 'b')\n  return t",
            Some("ab"),
            "",
        ),
        (
            "def f():\n return [g(Target(model_output='a')) for _ in b]",
            Some("a"),
            "",
        ),
        (
            "def f():\n Target(model_output=x)\n return Target(model_output='a')\n Target(model_output='b')",
            Some("a"),
            "",
        ),
        (
            "try:\n @target(model_output='a')\n def f(): pass\nexcept E: pass",
            Some("a"),
            "",
        ),
    ] {
        let targets = module(text).targets;
        assert_eq!(targets.len(), 1, "{text}");
        assert_eq!(targets[0].name, "f");
        assert_eq!(targets[0].model_output.as_deref(), output, "{text}");
        assert_eq!(targets[0].data.join(" "), data, "{text}");
    }
    for text in [
        "def f(): pass",
        "def target(): pass",
        "def f():\n return Target(model_output=x)",
        "def f():\n return Target(model_output=f'{x}')",
        "def f():\n return Goal(model_output='a')",
        "def f():\n def g():\n  return Target(model_output='a')",
        "def f():\n return lambda: Target(model_output='a')",
        "class A:\n @target\n def f(self): pass",
        "Target(model_output='a')",
        "@targets\ndef f(): pass",
    ] {
        assert_eq!(module(text).targets, [], "{text}");
    }
}

#[test]
fn finds_what_made_registries_stale() {
    // A renamed function.
    let renamed = module(
        "from calibration import Target\n\ndef incidence_replicate_mean_target(data_paths):\n    \
         return Target(model_output=\"incidence\", data=data_paths)\n",
    );
    let entrypoint = Entrypoint::parse("targets.incidence:incidence_target").unwrap();
    assert!(renamed.lacks(entrypoint.name()));
    assert!(!renamed.lacks("incidence_replicate_mean_target"));
    // A renamed output.
    assert_eq!(
        renamed.targets[0].model_output.as_deref(),
        Some("incidence")
    );
    let model = "@register(outputs=[\"incidence\"])\nclass SIR(BaseModel):\n    \"\"\"Susceptible to recovered.\"\"\"\n";
    assert_eq!(outputs(model), Some(vec!["incidence".to_owned()]));
    // Data in another file.
    let data = module(
        "@calibration_target(model_output=\"incidence\", data={\"observed\": \"data/observed.csv\"})\n\
         def incidence_target(data): ...\n",
    );
    assert_eq!(data.targets[0].data, ["data/observed.csv"]);
}

#[test]
fn faults_state_their_line() {
    for (text, line) in [
        ("print 'x'", 1),
        ("x = 1\nprint \"hello\"\n", 2),
        ("x = 1\r\ny = 2\r\nexec code in scope\r\n", 3),
        ("x = 1\ry = = 2\r", 2),
        ("def f():\npass", 2),
        ("class A:\n\tx = 1\n  y = 2\n", 3),
        ("x = 'open\n", 1),
        ("x = 1\n\n  y = 2", 3),
        ("raise E, 'x'", 1),
        ("x = 0777", 1),
        ("x = 1\n\0", 2),
        ("<html>", 1),
    ] {
        let fault = parse(text).unwrap_err();
        assert_eq!(fault.line, line, "{text:?}: {}", fault.message);
        assert!(!fault.message.is_empty() && !fault.message.ends_with('.'));
        assert!(!fault.message.starts_with(char::is_uppercase) || fault.message.starts_with("NUL"));
    }
    assert_eq!(
        parse("x = 1\nprint 'x'").unwrap_err().message,
        "simple statements must be separated by newlines or semicolons"
    );
}

#[test]
fn accepts_the_forms_of_real_files() {
    for text in [
        "\u{feff}x = 1",
        "x = 1\r\n",
        "\r\rx = 1\r",
        "\x0cx = 1\n\x0c\n",
        "if a:\n\tx = 1\n",
        "#!/usr/bin/env python3\n# -*- coding: latin-1 -*-\nx = 1",
        "x = '\u{2028}é'",
    ] {
        let module = parse(text).unwrap();
        assert_eq!(module.symbols.keys().collect::<Vec<_>>(), ["x"]);
    }
}
