//! Repositories with a `models.toml`: synced, listed, pulled and updated.

use modelrack::{
    Config, CopyOptions, Manager, ModelManager, ModelPattern, PullOptions, RemoteOptions,
    SyncOptions, UpdateOptions,
};

use crate::support::forge::Forge;
use crate::support::forge::models::{ModelsToml, below, small_models};
use crate::support::rack::Rack;
use crate::support::{address, chain};

fn config(rack: &Rack, forge: &Forge) -> Config {
    rack.bare_config().bootstrap(format!(
        "[sources.testmodels]\nrepo = \"o/models\"\nname = \"mf6/test\"\nrefs = [\"develop\"]\nserver = \"{}\"\n",
        forge.url()
    ))
}

fn manager(rack: &Rack, forge: &Forge) -> ModelManager {
    ModelManager::builder(config(rack, forge))
        .environment(rack.environment())
        .build()
}

#[test]
fn smoke() {
    let rack = Rack::new();
    let forge = Forge::start();
    let repo = forge.repo("o/models");
    let files = small_models();
    let mut tree = below("mf6", &files);
    let toml = ModelsToml::of(&files).root("mf6");
    tree.push((".registry/models.toml".to_owned(), toml.into()));
    repo.commit("develop", tree);
    let manager = manager(&rack, &forge);
    let report = manager.sync(&SyncOptions::default()).unwrap();
    assert!(report.failed.is_empty(), "{report:?}");
    println!("{report:?}");
    let listing = manager.list_remote(&RemoteOptions::default()).unwrap();
    for model in &listing.models {
        println!("{} {:?} {:?}", model.model, model.files, model.total_bytes);
    }
    let pulled = manager
        .pull(
            &address("mf6/test@develop/test001a_Tharmonic"),
            &PullOptions::default(),
        )
        .map_err(|error| chain(&error))
        .unwrap();
    println!("{pulled:?}");
    let again = manager.sync(&SyncOptions::default()).unwrap();
    println!("{again:?}");
    let update = manager.check_update(&UpdateOptions::default()).unwrap();
    println!("{update:?}");
    let all = ModelPattern::parse("mf6/test@develop/*", None).unwrap();
    let report = manager
        .pull_matching(&all, &PullOptions::default())
        .unwrap();
    println!("{report:?}");
    let to = rack.temp.path().join("ws");
    let copied = manager
        .copy(
            &address("mf6/test/ex-gwf-twri01"),
            &to,
            &CopyOptions::default(),
        )
        .unwrap();
    println!("{copied:?} {}", forge.api_requests());
    for request in forge.server().requests() {
        println!("{} {}", request.method, request.path);
    }
}
