//! What runs took, and what they fetched from a server that is in this process.

use crate::server::Server;
use crate::support::{Numbers, Result, Series, mebibytes};

/// What several runs took.
#[derive(Default)]
pub(crate) struct Runs {
    pub(crate) times: Series,
    pub(crate) work: Series,
    pub(crate) peak: Series,
    bytes: Series,
    requests: Series,
}

impl Runs {
    /// Runs once more, and counts what the server was asked for.
    pub(crate) fn add(
        &mut self,
        server: &Server,
        run: impl FnOnce() -> Result<Numbers>,
    ) -> Result<Numbers> {
        server.reset_counts();
        let numbers = run()?;
        self.times.add(numbers.need("seconds")?);
        self.work.extend(numbers.get("processor_seconds"));
        self.peak.extend(numbers.get("peak_bytes"));
        self.bytes.add(server.bytes_sent() as f64);
        self.requests.add(server.requests().len() as f64);
        Ok(numbers)
    }

    /// What went over the network.
    pub(crate) fn network(&self) -> String {
        let bytes = mebibytes(self.bytes.median());
        format!("{bytes} in {} requests", self.requests.median())
    }
}
