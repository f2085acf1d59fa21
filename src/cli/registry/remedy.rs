//! Suggestions for remedying findings, with the command as it is mounted.

use std::path::Path;

use crate::cli::session::Session;
use crate::manifest::RelPath;
use crate::project::{Project, Remedy};
use crate::relpath::listed;

/// Describes a remedy of a project in one sentence.
pub(super) fn suggestion(session: &Session, project: &Project, remedy: &Remedy) -> String {
    let place = place(project);
    let registry = format!("{} registry", session.path);
    match remedy {
        Remedy::Add { path } => {
            let path = in_command(path);
            format!("Run '{registry} add {path}{place}' to register it")
        }
        Remedy::StateOutputs { path } => {
            let path = in_command(path);
            format!("Run '{registry} add {path} --outputs NAME{place}' to state its outputs")
        }
        Remedy::Resync => format!("Run '{registry} sync{place}' to update the registry"),
        Remedy::RestoreOrDrop => {
            format!("Restore it, or run '{registry} sync --force{place}' to drop it")
        }
        Remedy::ChooseFunction {
            target,
            path,
            module,
            model_output,
        } => {
            let [target, path, output] = [target, path.as_str(), model_output].map(in_command);
            format!(
                "Run '{registry} add {path} --id {target} --model-output {output} --entrypoint \
                 {module}:NAME{place}' to state which function took its place, or '{registry} sync \
                 --force{place}' to drop it"
            )
        }
        Remedy::ReplaceFiles => {
            "Replace it with files whose names every system accepts, or remove it".into()
        }
        Remedy::CorrectEntrypoint => "Use the form 'package.module:Name'".into(),
        Remedy::CreateModule { candidates } => {
            let candidates: Vec<&str> = candidates.iter().map(RelPath::as_str).collect();
            format!("Expected one of: {}", candidates.join(", "))
        }
        Remedy::CorrectFile { path } => format!("Correct {path}"),
        Remedy::ProvideOutput { output, available } => match available.as_slice() {
            [] => format!("Register a model with output '{output}': no model has outputs yet"),
            some => format!(
                "Register a model with output '{output}', or let the target use one of: {}",
                listed(some)
            ),
        },
    }
}

/// Returns the option that names the registry of a project, unless it is in its usual place.
pub(super) fn place(project: &Project) -> String {
    let path = project.registry_path();
    match path.strip_prefix(project.root()) {
        Ok(inner) if inner == Path::new(".registry").join("models.toml") => String::new(),
        _ => format!(" --registry {}", in_command(&path.to_string_lossy())),
    }
}

/// Quotes a path so that every shell takes it as one word; `PATH` stands for a path that a shell might expand.
fn in_command(path: &str) -> String {
    let is_plain = |c: char| c.is_alphanumeric() || "-_./".contains(c);
    if path.starts_with('-') {
        in_command(&format!("./{path}"))
    } else if path.chars().all(is_plain) {
        path.to_owned()
    } else if path.contains(['"', '\'', '$', '`', '!', '%']) {
        "PATH".to_owned()
    } else {
        format!("\"{path}\"")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_suggestion_has_no_name_that_a_shell_would_run() {
        for (path, expected) in [
            ("m/$(x).md", "PATH"),
            ("m/`x`.md", "PATH"),
            ("m/a b.md", "\"m/a b.md\""),
            ("m/it's.md", "PATH"),
            ("m/plain.md", "m/plain.md"),
            ("-rf.md", "./-rf.md"),
        ] {
            assert_eq!(in_command(path), expected);
        }
    }
}
