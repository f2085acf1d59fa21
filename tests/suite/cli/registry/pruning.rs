//! `registry prune`: what is asked, said and refused.

use serde_json::json;

use crate::cli::{Ran, Sinks, mount, run_words};
use crate::support::disk::{age, files_below};
use crate::support::rack::{Rack, sample};

/// A registry with a version that was replaced; of what is left of that, a part is young.
fn replaced() -> Rack {
    let rack = Rack::new();
    rack.publish("g/m v1", &sample());
    rack.publish("g/m v1", &sample()[1..]);
    rack.publish("g/m v1", &sample()[2..]);
    let registry = rack.registry();
    for name in files_below(&registry).keys() {
        age(&registry.join(name), 30);
    }
    rack
}

fn prune(rack: &Rack, words: &[&str], sinks: Sinks) -> Ran {
    let registry = rack.registry();
    let words = [
        &["registry", "prune", "--to", registry.to_str().unwrap()],
        words,
    ]
    .concat();
    run_words(&mount(rack), &words, sinks)
}

#[test]
fn who_prunes_is_asked_and_reads_what_is_gone() {
    let rack = replaced();
    let registry = rack.registry();
    let before = files_below(&registry);
    let document = prune(&rack, &["--dry-run", "--json"], Sinks::Captured).json();
    let removed = document["removed"].as_array().unwrap();
    let (number, bytes) = (removed.len(), document["bytes_freed"].as_u64().unwrap());
    assert_eq!(
        (&document["versions"], &document["young"]),
        (&json!(1), &json!(0))
    );
    assert_eq!(document["registry"], registry.to_str().unwrap());
    assert!(number > 2 && bytes > 0, "{document}");
    let sum: u64 = removed.iter().map(|it| it["bytes"].as_u64().unwrap()).sum();
    assert_eq!(sum, bytes);
    let table = prune(&rack, &["--dry-run"], Sinks::Captured).success();
    assert_eq!(table.lines().count(), number, "{table}");
    let path = removed[0]["path"].as_str().unwrap();
    assert!(table.starts_with(path), "{table}");

    let refused = prune(&rack, &[], Sinks::Captured);
    assert_eq!(refused.code, 2);
    let question = format!("Remove {number} objects (");
    assert!(
        refused.err.contains(&question) && refused.err.contains("pass -y"),
        "{refused:?}"
    );
    let said_no = prune(&rack, &[], Sinks::Terminal("n\n"));
    assert_eq!(said_no.code, 1);
    assert!(
        said_no.err.contains(&question) && said_no.err.contains("that no version names from"),
        "{said_no:?}"
    );
    assert_eq!(files_below(&registry), before);

    // One of them is young again.
    age(&registry.join(path), 1);
    let ran = prune(&rack, &["-y"], Sinks::Captured);
    let out = ran.out.clone();
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(
        out.starts_with(&format!("Removed {} objects, ", number - 1)),
        "{out}"
    );
    assert!(out.trim_end().ends_with("of 1 version remain"), "{out}");
    assert!(ran.err.contains("Kept 1 object ("), "{ran:?}");
    assert_eq!(files_below(&registry).len(), before.len() - number + 1);

    let ran = prune(&rack, &[], Sinks::Captured);
    assert_eq!((ran.code, &*ran.out), (0, "There is nothing to remove.\n"));
    assert!(ran.err.contains("younger than a day"), "{ran:?}");
    let document = prune(&rack, &["--json"], Sinks::Captured).json();
    assert_eq!(
        (&document["removed"], &document["bytes_freed"]),
        (&json!([]), &json!(0))
    );
}

#[test]
fn a_place_without_a_registry_is_not_pruned() {
    let rack = Rack::new();
    for (to, code, said) in [
        (
            rack.temp.path().to_str().unwrap(),
            1,
            "there is no registry: it has no models.json",
        ),
        (
            "oci://ghcr.io/acme/tiny",
            2,
            "cannot prune oci://ghcr.io/acme/tiny",
        ),
        ("http://example.org/", 2, "cannot publish to"),
    ] {
        let words = ["registry", "prune", "--to", to, "-y"];
        let ran = run_words(&mount(&rack), &words, Sinks::Captured);
        assert_eq!(ran.code, code, "{to}: {ran:?}");
        assert!(ran.err.contains(said), "{to}: {ran:?}");
    }
}
