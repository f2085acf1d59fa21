//! Plans: what they promise is what happens, and they are run as they stand.

use modelrack::installed::{Freshness, PrunePlan, PrunedPartial};
use modelrack::pull::PullOutcome;
use modelrack::{CancelToken, Manager, ModelPattern, PullOptions, PullPlan, UpdateOptions};

use crate::support::address;
use crate::support::rack::{CHUNK, Rack, model_ref, sample};
use crate::support::server::Rule;

#[test]
fn a_plan_is_run_without_looking_anything_up_again() {
    let rack = Rack::with_model();
    let manager = rack.manager();
    let plan = manager
        .plan_pull(&address("g/m v1"), &PullOptions::default())
        .unwrap();
    rack.server.reset_counts();
    rack.server.rule(Rule::path("/models.json").status(500));
    let report = manager.execute(&plan).unwrap();
    assert_eq!(report.outcome, PullOutcome::Installed);
    assert_eq!(report.bytes_fetched, plan.bytes_to_fetch);
    rack.assert_sample_installed();
    assert_eq!(rack.server.requests().len(), plan.requests);
    // What it promised is there now.
    let report = manager.execute(&plan).unwrap();
    assert_eq!(report.outcome, PullOutcome::AlreadyInstalled);
}

#[test]
fn a_plan_stays_with_the_state_that_it_is_of() {
    let rack = Rack::with_model();
    let manager = rack.manager();
    let plan = manager
        .plan_pull(&address("g/m v1"), &PullOptions::default())
        .unwrap();
    rack.publish("g/m v1", &[("other", vec![7; CHUNK])]);
    manager.execute(&plan).unwrap();
    rack.assert_sample_installed();
    let update = UpdateOptions::default();
    let [entry] = <[_; 1]>::try_from(manager.check_update(&update).unwrap().entries).unwrap();
    let Freshness::Changed(change) = entry.freshness else {
        panic!("{entry:?}")
    };
    assert_eq!(
        manager.execute(&change.plan).unwrap().bytes_fetched,
        CHUNK as u64
    );
    rack.assert_files("g/m v1", &[("other", vec![7; CHUNK])]);
}

#[test]
fn several_plans_are_run_together() {
    let rack = Rack::with_model();
    rack.publish("g/n v1", &[("n", vec![9; 3 * CHUNK])]);
    let manager = rack.manager();
    let pattern = ModelPattern::parse("g/*", None).unwrap();
    let plans = manager
        .plan_matching(&pattern, &PullOptions::default())
        .unwrap();
    rack.server.reset_counts();
    let report = manager.execute_all(&plans).unwrap();
    let pulled: Vec<_> = report.pulled.iter().map(|pulled| &pulled.model).collect();
    assert_eq!(pulled, [&model_ref("g/m v1"), &model_ref("g/n v1")]);
    assert!(report.failed.is_empty());
    assert_eq!(rack.server.count("/models.json"), 0);
    let requests: usize = plans.iter().map(|plan| plan.requests).sum();
    assert_eq!(rack.server.requests().len(), requests);
    assert!(manager.execute_all(&[]).unwrap().pulled.is_empty());
}

#[test]
fn a_plan_keeps_the_options_that_it_was_made_with() {
    let rack = Rack::with_model();
    let manager = rack.manager();
    let cancel = CancelToken::new();
    let options = PullOptions::default()
        .cancel(cancel.clone())
        .model_type("mine");
    let plan = manager.plan_pull(&address("g/m v1"), &options).unwrap();
    manager.execute(&plan).unwrap();
    assert_eq!(rack.record()["g"]["m"]["v1"]["type"], "mine");
    cancel.cancel();
    let forced = manager.plan_pull(&address("g/m v1"), &PullOptions::default().force(true));
    manager.execute(&forced.unwrap()).unwrap();
    let cancelled = PullOptions::default().force(true).cancel(cancel);
    let plan = manager.plan_pull(&address("g/m v1"), &PullOptions::default());
    assert!(plan.unwrap().installed);
    assert!(manager.pull(&address("g/m v1"), &cancelled).is_err());
}

#[test]
fn a_plan_of_somebody_else_s_is_refused() {
    let rack = Rack::with_model();
    let plan = PullPlan::new(model_ref("g/m v1"));
    let error = rack.manager().execute(&plan).unwrap_err();
    assert_eq!(error.code(), "INVALID_ARGUMENT");
}

#[test]
fn a_prune_reaches_nothing_but_partials_and_leftovers_of_its_store() {
    let rack = Rack::with_model();
    rack.pull("g/m v1").unwrap();
    let mut plan = PrunePlan::default();
    let dir = rack.dir_of("g/m v1");
    plan.leftovers.extend([
        dir.clone(),
        rack.store(),
        rack.store().join("cache").join(".."),
    ]);
    plan.partials
        .push(PrunedPartial::new(model_ref("g/m v1"), dir, 1));
    let report = rack.manager().prune(&plan).unwrap();
    assert_eq!(report.removed, PrunePlan::default());
    rack.assert_files("g/m v1", &sample());
}
