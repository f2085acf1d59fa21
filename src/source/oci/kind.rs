//! How registries become sources: from an entry of the configuration, or from an address.

use std::sync::Arc;

use serde::Deserialize;

use super::{Kind, Oci};
use crate::error::{Error, Result};
use crate::oci::{LAYOUT_SCHEME, RegistryPlace};
use crate::source::{self, Context, Entry, Identity, Source};

/// What addresses of places that are not configured begin with.
const SCHEME: &str = "oci://";

#[derive(Deserialize)]
struct EntryWire {
    oci: String,
    #[serde(default)]
    insecure: bool,
}

impl source::Kind for Kind {
    fn keys(&self) -> &'static [&'static str] {
        &["oci", "insecure"]
    }

    fn source(&self, entry: Entry, context: &Context) -> Result<Arc<dyn Source>> {
        let EntryWire { oci, insecure } = entry.read()?;
        let place = match oci.starts_with(LAYOUT_SCHEME) {
            true => RegistryPlace::of_layout(&oci),
            false => RegistryPlace::of_url(&entry.url("oci", &oci)?, insecure),
        };
        let at = entry.at("oci");
        let place = place.map_err(|reason| Error::config(format!("{at} {reason}")))?;
        Ok(Arc::new(Oci::new(entry.identity, place, true, context)))
    }

    fn at(&self, origin: &str, context: &Context) -> Option<Result<Arc<dyn Source>>> {
        if origin.starts_with(LAYOUT_SCHEME) {
            let place = RegistryPlace::of_layout(origin);
            let place = place.map_err(|reason| Error::invalid_ref(origin, reason));
            return Some(place.map(|place| not_configured(place, context)));
        }
        let host = origin.strip_prefix(SCHEME)?;
        let place = RegistryPlace::of_host(&host.to_ascii_lowercase());
        Some(place.map(|place| not_configured(place, context)))
    }

    fn recover(&self, key: &str, context: &Context) -> Option<Arc<dyn Source>> {
        self.at(key, context)?.ok()
    }
}

/// A registry that the configuration does not name goes by its host. A name has no colon, and a host no underscore.
fn not_configured(place: RegistryPlace, context: &Context) -> Arc<dyn Source> {
    let identity = match place.is_layout() {
        true => Identity {
            key: place.location(),
            name: LAYOUT_SCHEME.trim_end_matches("://").to_owned(),
        },
        false => Identity {
            key: format!("{SCHEME}{}", place.host),
            name: place.host.replace(':', "_"),
        },
    };
    Arc::new(Oci::new(identity, place, false, context))
}
