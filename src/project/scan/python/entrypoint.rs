//! `package.module:Symbol`, and the files of a project that may define it.

use crate::relpath::RelPath;

/// The folders from which modules are imported: the project itself, and one below it.
const ROOTS: [&str; 2] = ["", "src/"];

/// Words that cannot be names: <https://docs.python.org/3/reference/lexical_analysis.html#keywords>.
#[rustfmt::skip]
const KEYWORDS: [&str; 35] = [
    "False", "None", "True", "and", "as", "assert", "async", "await", "break", "class", "continue", "def", "del", "elif",
    "else", "except", "finally", "for", "from", "global", "if", "import", "in", "is", "lambda", "nonlocal", "not", "or",
    "pass", "raise", "return", "try", "while", "with", "yield",
];

/// Where something to run or to import is defined.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entrypoint {
    /// The module, with dots between its packages.
    pub(crate) module: String,
    /// The name in the module, with dots before what is inside it, such as `Class.method`.
    pub(crate) symbol: String,
}

impl Entrypoint {
    /// Parses `package.module:Symbol`; `None` unless it is two dotted names with a colon between them.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (module, symbol) = text.split_once(':')?;
        let is_dotted = |text: &str| text.split('.').all(is_identifier);
        (is_dotted(module) && is_dotted(symbol)).then(|| Self {
            module: module.to_owned(),
            symbol: symbol.to_owned(),
        })
    }

    /// Returns the name that the module must define: the symbol up to its first dot.
    pub(crate) fn name(&self) -> &str {
        self.symbol.split('.').next().unwrap_or_default()
    }

    /// Returns the files that may be the module, in order of preference: a module before a package, the project's folder
    /// before `src/`.
    pub(crate) fn candidates(&self) -> Vec<RelPath> {
        let path = self.module.replace('.', "/");
        let files = ROOTS.iter().flat_map(|root| {
            ["", "/__init__"].map(|end| RelPath::parse(&format!("{root}{path}{end}.py")))
        });
        // A name that some system does not allow is no file on any.
        files.flatten().collect()
    }

    /// Returns the name by which a file is imported; `None` if it is not a `.py` file or cannot be imported.
    pub(crate) fn module_of(path: &RelPath) -> Option<String> {
        let path = path.as_str().strip_suffix(".py")?;
        let path = path.strip_suffix("/__init__").unwrap_or(path);
        let path = path.strip_prefix("src/").unwrap_or(path);
        let is_module = path != "__init__" && path.split('/').all(is_identifier);
        is_module.then(|| path.replace('/', "."))
    }
}

/// Returns whether a text is a name in Python.
fn is_identifier(text: &str) -> bool {
    let mut chars = text.chars();
    let first = chars.next();
    first.is_some_and(|c| c == '_' || c.is_alphabetic())
        && chars.all(|c| c == '_' || c.is_alphanumeric())
        && !KEYWORDS.contains(&text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_entrypoints() {
        for (text, module, symbol, name) in [
            ("a:B", "a", "B", "B"),
            ("models.sir:SIR", "models.sir", "SIR", "SIR"),
            ("a.b_c._d:Class.method", "a.b_c._d", "Class.method", "Class"),
            ("größe:模型1", "größe", "模型1", "模型1"),
            ("match:type", "match", "type", "type"),
        ] {
            let entrypoint = Entrypoint::parse(text).unwrap();
            assert_eq!(entrypoint.module, module);
            assert_eq!(entrypoint.symbol, symbol);
            assert_eq!(entrypoint.name(), name);
        }
        for bad in [
            "",
            ":",
            "a",
            "a:",
            ":a",
            "a:b:c",
            "a.:b",
            ".a:b",
            "a..b:c",
            "a:b.",
            "a b:c",
            "a: b",
            "a/b:c",
            "a-b:c",
            "1a:b",
            "a:1b",
            "a:f()",
            "a.py:b ",
            "class:A",
            "a.import:b",
            "a:None",
            "..a:b",
            "a\n:b",
        ] {
            assert_eq!(Entrypoint::parse(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn finds_the_files_of_a_module() {
        let candidates = |text| Entrypoint::parse(text).unwrap().candidates();
        let names = |text| {
            let found = candidates(text);
            let names: Vec<_> = found.iter().map(RelPath::to_string).collect();
            names.join(" ")
        };
        assert_eq!(
            names("models.sir:SIR"),
            "models/sir.py models/sir/__init__.py src/models/sir.py src/models/sir/__init__.py"
        );
        assert_eq!(
            names("sir:SIR"),
            "sir.py sir/__init__.py src/sir.py src/sir/__init__.py"
        );
        // Windows does not allow this name.
        assert_eq!(names("con:A"), "");
    }

    #[test]
    fn finds_the_module_of_a_file() {
        for (path, expected) in [
            ("sir.py", Some("sir")),
            ("models/sir.py", Some("models.sir")),
            ("src/models/sir.py", Some("models.sir")),
            ("models/__init__.py", Some("models")),
            ("src/models/__init__.py", Some("models")),
            ("src.py", Some("src")),
            ("src/__init__.py", Some("src")),
            ("lib/src/a.py", Some("lib.src.a")),
            ("__main__.py", Some("__main__")),
            ("__init__.py", None),
            ("my-models/sir.py", None),
            ("models/2d.py", None),
            ("models/sir.pyi", None),
            ("models/sir.PY", None),
            ("models/sir", None),
            ("models/.py", None),
            ("models/import.py", None),
            ("notes.txt", None),
        ] {
            let path = RelPath::parse(path).unwrap();
            assert_eq!(Entrypoint::module_of(&path).as_deref(), expected, "{path}");
            if let Some(module) = expected {
                let entrypoint = Entrypoint::parse(&format!("{module}:A")).unwrap();
                assert!(entrypoint.candidates().contains(&path), "{path}");
            }
        }
    }
}
