//! The findings of a check, with their severities, categories and remedies.

use std::fmt;

use serde::Serialize;

use crate::project::item::ItemId;
use crate::relpath::RelPath;

/// How bad a finding is. The worst is the least, so that findings sort by it.
///
/// ```
/// use modelrack::project::Severity;
///
/// assert!(Severity::Error < Severity::Warning && Severity::Warning < Severity::Note);
/// assert_eq!(Severity::Note.as_str(), "note");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Severity {
    /// The project would not work if it were published.
    Error,
    /// The registry does not match the files, or says too little.
    Warning,
    /// The publisher should know it, but nothing has to be done.
    Note,
}

/// What a finding is about.
///
/// ```
/// use modelrack::project::Category;
///
/// /// Whether a program that keeps registries up to date can go on by itself.
/// fn is_routine(category: Category) -> bool {
///     match category {
///         Category::Stale
///         | Category::Untracked
///         | Category::EmptyOutputs
///         | Category::UnusedOutput
///         | Category::NotChecked => true,
///         Category::MissingFile
///         | Category::InvalidEntrypoint
///         | Category::MissingModule
///         | Category::SyntaxError
///         | Category::MissingSymbol
///         | Category::OutputPairing => false,
///         _ => false,
///     }
/// }
///
/// assert!(is_routine(Category::Stale));
/// assert_eq!(Category::MissingFile.as_str(), "missing_file");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Category {
    /// A registered file does not exist.
    MissingFile,
    /// An entrypoint does not have the form `package.module:Name`.
    InvalidEntrypoint,
    /// The module of an entrypoint does not exist.
    MissingModule,
    /// The module of an entrypoint cannot be parsed.
    SyntaxError,
    /// The module has no such class or function.
    MissingSymbol,
    /// A target compares an output that no model has.
    OutputPairing,
    /// Files or code differ from what is registered.
    Stale,
    /// Code is registered without saying what it computes.
    EmptyOutputs,
    /// A file that looks like part of a model, a model or a target is not registered.
    Untracked,
    /// No target uses an output.
    UnusedOutput,
    /// The module of an entrypoint was not read: the feature `python` is off.
    NotChecked,
}

impl Severity {
    /// Returns the name that `--json` uses; [`Severity`] has an example.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
            Self::Note => "note",
        }
    }
}

impl Category {
    /// Returns the name that `--json` uses; [`Category`] has an example.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::MissingFile => "missing_file",
            Self::InvalidEntrypoint => "invalid_entrypoint",
            Self::MissingModule => "missing_module",
            Self::SyntaxError => "syntax_error",
            Self::MissingSymbol => "missing_symbol",
            Self::OutputPairing => "output_pairing",
            Self::Stale => "stale",
            Self::EmptyOutputs => "empty_outputs",
            Self::Untracked => "untracked",
            Self::UnusedOutput => "unused_output",
            Self::NotChecked => "not_checked",
        }
    }

    fn severity(self) -> Severity {
        match self {
            Self::MissingFile
            | Self::InvalidEntrypoint
            | Self::MissingModule
            | Self::SyntaxError
            | Self::MissingSymbol
            | Self::OutputPairing => Severity::Error,
            Self::Stale | Self::EmptyOutputs | Self::Untracked => Severity::Warning,
            Self::UnusedOutput | Self::NotChecked => Severity::Note,
        }
    }
}

/// What remedies a finding. Paths are relative to the project's folder. [`StatusReport`](crate::project::StatusReport) has an
/// example.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Remedy {
    /// [`Project::add`](crate::project::Project::add) registers what is at the path.
    Add {
        /// The file to register.
        path: String,
    },
    /// [`Project::add`](crate::project::Project::add) with
    /// [`AddOptions::outputs`](crate::project::AddOptions::outputs) states what the model at the path computes.
    StateOutputs {
        /// The registered file or folder.
        path: String,
    },
    /// [`Project::resync`](crate::project::Project::resync) registers what is there now.
    Resync,
    /// [`Project::add`](crate::project::Project::add) with the id and an entrypoint states which function took the place of the
    /// target's, or [`Project::resync`](crate::project::Project::resync) drops the target.
    ChooseFunction {
        /// The id of the target.
        target: String,
        /// Its file.
        path: RelPath,
        /// The module of its entrypoint.
        module: String,
        /// The output that it compares.
        model_output: String,
    },
    /// The files are restored, or [`Project::resync`](crate::project::Project::resync) drops them.
    RestoreOrDrop,
    /// The links and files whose names some system refuses are replaced or removed.
    ReplaceFiles,
    /// The entrypoint gets the form `package.module:Name`.
    CorrectEntrypoint,
    /// The module is created at one of the paths.
    CreateModule {
        /// The files that the entrypoint may mean, the most likely first.
        candidates: Vec<RelPath>,
    },
    /// The file is corrected.
    CorrectFile {
        /// The file that cannot be parsed.
        path: RelPath,
    },
    /// A model with the output is registered, or the target uses another output.
    ProvideOutput {
        /// The output that is missing.
        output: String,
        /// The outputs of all registered models.
        available: Vec<String>,
    },
}

/// Something that is not as it should be. `Display` shows what it is about, and the message.
/// [`StatusReport`](crate::project::StatusReport) has an example.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[non_exhaustive]
pub struct Finding {
    /// How bad it is.
    pub severity: Severity,
    /// What it is about.
    pub category: Category,
    /// The model or target that it is about; `None` for the project.
    pub entity: Option<ItemId>,
    /// What is wrong.
    pub message: String,
    /// What remedies it, if anything does.
    #[serde(skip)]
    pub remedy: Option<Remedy>,
}

impl Finding {
    pub(super) fn new(
        category: Category,
        entity: impl Into<Option<ItemId>>,
        message: impl Into<String>,
        remedy: impl Into<Option<Remedy>>,
    ) -> Self {
        Self {
            severity: category.severity(),
            category,
            entity: entity.into(),
            message: message.into(),
            remedy: remedy.into(),
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(entity) = &self.entity {
            write!(f, "{entity}: ")?;
        }
        f.write_str(&self.message)
    }
}
