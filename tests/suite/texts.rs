//! Every text of the program in one snapshot, `texts.txt`, so that it can be read at once and a change shows in review:
//! the help of all commands, and the strings in `src/` that are written for people.

use std::fmt::Write as _;

use clap::Command;
use modelrack::Config;
use modelrack::cli::{Mount, models_command};

use crate::cli::snapshot::assert_snapshot;
use crate::layering::sources;

#[test]
fn the_texts_of_the_program() {
    let tree = models_command(&Mount::new(Config::new("rack")));
    let mut parent = Command::new("rack").term_width(100).subcommand(tree);
    parent.build();
    let mut text = String::new();
    write_help(&mut text, &parent, &["rack".to_owned()]);
    for (name, source) in sources() {
        let code = source.split("#[cfg(test)]\nmod tests {").next().unwrap();
        let literals: Vec<String> = literals(code).filter(|text| is_prose(text)).collect();
        if !literals.is_empty() {
            writeln!(text, "$ src/{name}\n{}\n", literals.join("\n")).unwrap();
        }
    }
    assert_snapshot("texts.txt", &text);
}

/// Writes the help of every command below one, as a user would see it.
fn write_help(text: &mut String, parent: &Command, path: &[String]) {
    let commands = parent.get_subcommands();
    for command in commands.filter(|command| command.get_name() != "help") {
        let path = [path, &[command.get_name().to_owned()]].concat();
        let help = command.clone().render_long_help();
        writeln!(text, "$ {} --help\n{help}\n", path.join(" ")).unwrap();
        write_help(text, command, &path);
    }
}

/// Whether a literal has a space between two letters or placeholders, and so is more than a name or a format.
fn is_prose(text: &str) -> bool {
    let words = text.split_whitespace();
    let words = words.filter(|word| word.chars().any(char::is_alphabetic) || word.contains('{'));
    words.count() > 1 && text.trim().contains(' ')
}

/// Returns the string literals of Rust code, each on one line as it is written; comments and attributes have none.
fn literals(code: &str) -> impl Iterator<Item = String> {
    let mut rest = code;
    std::iter::from_fn(move || {
        loop {
            let at = rest.find(['"', '/', '\'', '#'])?;
            let (before, tail) = rest.split_at(at);
            let is_raw = before.ends_with('r') && tail.starts_with(['"', '#']);
            let hashes = tail.len() - tail.trim_start_matches('#').len();
            if tail.starts_with("//") {
                rest = &tail[tail.find('\n')?..];
            } else if tail.starts_with("#[doc")
                || tail.starts_with("#[allow")
                || tail.starts_with("#[expect")
            {
                rest = &tail[tail.find("]\n")?..];
            } else if is_raw && tail[hashes..].starts_with('"') {
                let end = format!("\"{}", &tail[..hashes]);
                let (literal, behind) = tail[hashes + 1..].split_once(&end)?;
                rest = behind;
                return Some(literal.escape_debug().to_string());
            } else if let Some(literal) = tail.strip_prefix('"') {
                let end = end_of(literal, '"')?;
                rest = &literal[end + 1..];
                let lines: Vec<&str> = literal[..end].split("\\\n").collect();
                let (first, more) = lines.split_first()?;
                let more = more.iter().map(|line| line.trim_start());
                return Some([*first].into_iter().chain(more).collect());
            } else if let Some(character) = tail.strip_prefix('\'') {
                // A lifetime has no quote behind its first character.
                let length = match character.starts_with('\\') {
                    true => end_of(character, '\'')?,
                    false => character.chars().next()?.len_utf8(),
                };
                let is_character = character[length..].starts_with('\'');
                rest = if is_character {
                    &character[length + 1..]
                } else {
                    character
                };
            } else {
                rest = &tail[1..];
            }
        }
    })
}

/// Returns where a quote ends what it encloses, past those behind a backslash.
fn end_of(text: &str, quote: char) -> Option<usize> {
    let mut is_escaped = false;
    let mut characters = text.char_indices();
    let end = characters.find(|(_, c)| {
        let ends = *c == quote && !is_escaped;
        is_escaped = *c == '\\' && !is_escaped;
        ends
    });
    end.map(|(at, _)| at)
}

#[test]
fn literals_are_told_from_comments_characters_and_lifetimes() {
    let code = r##"// "no"
        fn f<'a>(c: char) -> &'a str { match c { '"' | '\'' => "a \"b\"", _ => r#"c "d""# } }
        /// "no"
        const X: &str = "one \
            two"; "##;
    let read: Vec<String> = literals(code).collect();
    assert_eq!(read, [r#"a \"b\""#, r#"c \"d\""#, "one two"]);
}
