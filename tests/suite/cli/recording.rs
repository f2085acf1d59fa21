//! A manager that remembers what it was asked, and does nothing.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use modelrack::installed::{
    Annotation, CopyReport, InstallOptions, InstallReport, InstalledDetail, InstalledModel,
    Listing, PruneOptions, PrunePlan, PruneReport, RemoveReport, UpdateReport, UsageOptions,
    UsageReport, VerifyReport,
};
use modelrack::lock::{LockOptions, LockReport};
use modelrack::progress::Download;
use modelrack::pull::MatchingReport;
use modelrack::remote::{
    ClearPlan, DiscoverOptions, DiscoveredRegistry, Example, RemoteDetail, RemoteListing,
    RemoteModel, SearchReport, SourceInfo, SyncReport,
};
use modelrack::{
    CancelToken, ClearOptions, CopyOptions, Error, ErrorKind, ListOptions, Manager, ModelAddress,
    ModelName, ModelPattern, PullOptions, PullPlan, PullReport, RemoteOptions, Result,
    SearchOptions, SyncOptions, UpdateOptions, VerifyOptions,
};

/// Answers with nothing, or with the error that it was given; what it cannot make up ends as cancelled.
#[derive(Debug, Default)]
pub(crate) struct Recording {
    calls: Mutex<Vec<String>>,
    error: Mutex<Option<Error>>,
}

impl Recording {
    pub(crate) fn new() -> Arc<Self> {
        Arc::default()
    }

    /// Fails the first call so.
    pub(crate) fn failing(error: Error) -> Arc<Self> {
        let error = Mutex::new(Some(error));
        Arc::new(Self {
            error,
            ..Self::default()
        })
    }

    /// What was asked so far, in order.
    pub(crate) fn calls(&self) -> Vec<String> {
        self.calls.lock().unwrap().clone()
    }

    fn note(&self, call: impl Into<String>) -> Result<()> {
        self.calls.lock().unwrap().push(call.into());
        self.error.lock().unwrap().take().map_or(Ok(()), Err)
    }

    fn note_only<T>(&self, call: impl Into<String>) -> Result<T> {
        self.note(call).and(Err(ErrorKind::Cancelled.into()))
    }
}

impl Manager for Recording {
    fn list(&self, _: &ListOptions) -> Result<Listing> {
        self.note("list")?;
        Ok(Listing::default())
    }

    fn list_remote(&self, options: &RemoteOptions) -> Result<RemoteListing> {
        self.note(format!("list_remote offline={}", options.offline))?;
        Ok(RemoteListing::default())
    }

    fn examples(&self, _: &RemoteOptions) -> Result<Vec<Example>> {
        self.note("examples")?;
        Ok(Vec::new())
    }

    fn get(&self, model: &ModelAddress) -> Result<InstalledDetail> {
        self.note_only(format!("get {model}"))
    }

    fn get_remote(&self, model: &ModelAddress, _: &RemoteOptions) -> Result<RemoteModel> {
        self.note_only(format!("get_remote {model}"))
    }

    fn remote_detail(&self, model: &ModelAddress, _: &RemoteOptions) -> Result<RemoteDetail> {
        self.note_only(format!("remote_detail {model}"))
    }

    fn plan_pull(&self, model: &ModelAddress, _: &PullOptions) -> Result<PullPlan> {
        self.note_only(format!("plan_pull {model}"))
    }

    fn execute(&self, plan: &PullPlan) -> Result<PullReport> {
        self.note_only(format!("execute {}", plan.model))
    }

    fn pull(&self, model: &ModelAddress, options: &PullOptions) -> Result<PullReport> {
        let PullOptions { force, offline, .. } = options;
        self.note_only(format!("pull {model} force={force} offline={offline}"))
    }

    fn plan_matching(&self, pattern: &ModelPattern, _: &PullOptions) -> Result<Vec<PullPlan>> {
        self.note_only(format!("plan_matching {pattern}"))
    }

    fn execute_all(&self, plans: &[PullPlan]) -> Result<MatchingReport> {
        self.note_only(format!("execute_all {}", plans.len()))
    }

    fn pull_matching(&self, pattern: &ModelPattern, _: &PullOptions) -> Result<MatchingReport> {
        self.note_only(format!("pull_matching {pattern}"))
    }

    fn annotate(&self, model: &ModelAddress, _: &Annotation) -> Result<InstalledModel> {
        self.note_only(format!("annotate {model}"))
    }

    fn install(&self, model: &ModelAddress, _: &InstallOptions) -> Result<InstallReport> {
        self.note_only(format!("install {model}"))
    }

    fn remove(&self, model: &ModelAddress, _: &CancelToken) -> Result<RemoveReport> {
        self.note_only(format!("remove {model}"))
    }

    fn remove_all(&self, name: &ModelName, _: &CancelToken) -> Result<RemoveReport> {
        self.note_only(format!("remove_all {name}"))
    }

    fn path(&self, model: &ModelAddress) -> Result<PathBuf> {
        self.note(format!("path {model}"))?;
        Ok(PathBuf::from("models"))
    }

    fn check_update(&self, _: &UpdateOptions) -> Result<UpdateReport> {
        self.note("check_update")?;
        Ok(UpdateReport::default())
    }

    fn update(&self, _: &UpdateOptions) -> Result<UpdateReport> {
        self.note("update")?;
        Ok(UpdateReport::default())
    }

    fn verify(&self, options: &VerifyOptions) -> Result<VerifyReport> {
        self.note(format!("verify repair={}", options.repair))?;
        Ok(VerifyReport::default())
    }

    fn lock(&self, options: &LockOptions) -> Result<LockReport> {
        let models: String = options
            .models
            .iter()
            .map(|model| format!("{model} "))
            .collect();
        self.note(format!("lock {models}in {}", options.file.display()))?;
        Ok(LockReport::default())
    }

    fn check_lock(&self, options: &LockOptions) -> Result<LockReport> {
        self.note(format!("check_lock in {}", options.file.display()))?;
        Ok(LockReport::default())
    }

    fn copy(&self, model: &ModelAddress, to: &Path, _: &CopyOptions) -> Result<CopyReport> {
        self.note_only(format!("copy {model} to {}", to.display()))
    }

    fn search(&self, query: &str, _: &SearchOptions) -> Result<SearchReport> {
        self.note(format!("search {query}"))?;
        Ok(SearchReport::default())
    }

    fn disk_usage(&self, _: &UsageOptions) -> Result<UsageReport> {
        self.note("disk_usage")?;
        Ok(UsageReport::default())
    }

    fn plan_prune(&self, _: &PruneOptions) -> Result<PrunePlan> {
        self.note("plan_prune")?;
        Ok(PrunePlan::default())
    }

    fn prune(&self, _: &PrunePlan) -> Result<PruneReport> {
        self.note("prune")?;
        Ok(PruneReport::default())
    }

    fn downloads(&self) -> Vec<Download> {
        Vec::new()
    }

    fn cancel(&self, _: &ModelAddress) -> usize {
        0
    }

    fn sources(&self) -> Result<Vec<SourceInfo>> {
        self.note("sources")?;
        Ok(Vec::new())
    }

    fn sync(&self, _: &SyncOptions) -> Result<SyncReport> {
        self.note("sync")?;
        Ok(SyncReport::default())
    }

    fn discover(&self, _: &DiscoverOptions) -> Result<DiscoveredRegistry> {
        self.note_only("discover")
    }

    fn plan_clear(&self, _: &ClearOptions) -> Result<ClearPlan> {
        self.note("plan_clear")?;
        Ok(ClearPlan::default())
    }

    fn clear(&self, _: &ClearOptions) -> Result<ClearPlan> {
        self.note("clear")?;
        Ok(ClearPlan::default())
    }
}
