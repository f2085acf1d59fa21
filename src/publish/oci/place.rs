//! Where artifacts are put: repositories of a registry, or an image layout in a folder or a tar.

use std::path::PathBuf;
use std::sync::Arc;

use super::ArtifactWriter;
use super::layout::{self, LayoutWriter};
#[cfg(feature = "author")]
use super::rehearsal::RehearsedRepository;
use super::repositories::Repositories;
use super::tar::TarLayout;
use crate::env::Environment;
#[cfg(feature = "author")]
use crate::error::Error;
use crate::error::Result;
use crate::http::call::Call;
#[cfg(feature = "author")]
use crate::model::ModelRef;
use crate::progress::CancelToken;
#[cfg(feature = "author")]
use crate::publish::rehearsal::Rehearsed;
use crate::publish::tar::is_tar;

/// Where the repositories of one or several models are.
pub(crate) struct ArtifactPlace {
    place: Place,
    /// The tag of the only model.
    #[cfg_attr(
        not(feature = "author"),
        allow(dead_code, reason = "only publishers name one model")
    )]
    tag: Option<String>,
    /// Whether the place is that of one model, or has one for each.
    is_repository: bool,
    /// What would have been sent, if nothing is.
    #[cfg(feature = "author")]
    rehearsal: Option<Rehearsed>,
}

enum Place {
    Layout(PathBuf),
    Tar(Arc<TarLayout>),
    Registry(Box<Repositories>),
}

impl ArtifactPlace {
    /// An image layout in a folder or a tar.
    pub(crate) fn layout(path: PathBuf, cancel: &CancelToken, is_rehearsal: bool) -> Result<Self> {
        let place = match is_tar(&path) {
            true => Place::Tar(Arc::new(TarLayout::open(&path, cancel, is_rehearsal)?)),
            false => Place::Layout(path),
        };
        Ok(Self::of(place))
    }

    /// Lets others see what is hidden until the end.
    pub(crate) fn finish(&self) -> Result<()> {
        #[cfg(feature = "author")]
        if self.rehearsal.is_some() {
            return Ok(());
        }
        match &self.place {
            Place::Tar(tar) => tar.finish()?,
            Place::Layout(folder) => layout::tidy(folder),
            Place::Registry(_) => {}
        }
        Ok(())
    }

    /// Whether all is written in one pass, at whose end others see it.
    pub(crate) fn is_in_one_pass(&self) -> bool {
        matches!(self.place, Place::Tar(_))
    }

    /// A place at a host: the repository with this path, until [`Self::of_several`] says otherwise.
    pub(crate) fn registry(
        host: &str,
        path: &str,
        call: &Call,
        environment: &Environment,
    ) -> Result<Self> {
        let repositories = Repositories::open(host, path, call, environment)?;
        Ok(Self::of(Place::Registry(Box::new(repositories))))
    }

    fn of(place: Place) -> Self {
        Self {
            place,
            tag: None,
            is_repository: true,
            #[cfg(feature = "author")]
            rehearsal: None,
        }
    }

    /// The same place, with repositories for several models if that is so.
    pub(crate) fn of_several(self, several: bool) -> Self {
        Self {
            is_repository: !several,
            ..self
        }
    }

    /// The same place, whose only model gets this tag if there is one.
    pub(crate) fn with_tag(self, tag: Option<&str>) -> Self {
        Self {
            tag: tag.map(str::to_owned),
            ..self
        }
    }

    /// A model as it will be called: like its repository, in the version that its tag is.
    #[cfg(feature = "author")]
    pub(crate) fn named(
        &self,
        model: &ModelRef,
        repository: &dyn ArtifactWriter,
    ) -> Result<ModelRef> {
        let version = self.tag.as_deref().unwrap_or(model.version());
        let (group, name) = match repository.repository() {
            Some(repository) => repository.rsplit_once('/').unwrap_or(("", repository)),
            None => (model.group(), model.model()),
        };
        ModelRef::new(group, name, version).map_err(Error::argument_name)
    }

    /// The same place, in which nothing is written.
    #[cfg(feature = "author")]
    pub(crate) fn rehearsed(self) -> Self {
        Self {
            rehearsal: Some(Rehearsed::default()),
            ..self
        }
    }

    /// The place of a model.
    pub(crate) fn of_model(&self, name: &str) -> Result<Box<dyn ArtifactWriter>> {
        let writer = self.writer_of(name)?;
        #[cfg(feature = "author")]
        if let Some(rehearsed) = &self.rehearsal {
            return Ok(Box::new(RehearsedRepository::new(writer, rehearsed)));
        }
        Ok(writer)
    }

    fn writer_of(&self, name: &str) -> Result<Box<dyn ArtifactWriter>> {
        let own = (!self.is_repository).then_some(name);
        Ok(match &self.place {
            Place::Layout(folder) => Box::new(LayoutWriter::new(folder, own)),
            Place::Tar(tar) => Box::new(tar.writer(own)),
            Place::Registry(repositories) => Box::new(repositories.writer(own)?),
        })
    }
}
