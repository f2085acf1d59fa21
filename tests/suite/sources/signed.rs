//! Signed indexes: a source with a public key refuses what is not signed with it.

use std::io::Cursor;

use minisign::KeyPair;
use modelrack::{Manager, PullOptions, RemoteOptions};

use crate::support::rack::{Rack, sample};
use crate::support::server::Rule;
use crate::support::{address, chain};

fn sign(rack: &Rack, keys: &KeyPair) {
    let index = std::fs::read(rack.registry().join("models.json")).unwrap();
    let signature =
        minisign::sign(Some(&keys.pk), &keys.sk, Cursor::new(index), None, None).unwrap();
    rack.server
        .put("/models.json.minisig", signature.to_string());
}

fn manager(rack: &Rack, public_key: Option<&KeyPair>) -> modelrack::ModelManager {
    let key = public_key.map(|keys| format!("public_key = \"{}\"\n", keys.pk.to_base64()));
    let toml = format!(
        "[sources.s]\nurl = \"{}\"\n{}",
        rack.server.url(),
        key.unwrap_or_default()
    );
    rack.manager_of(rack.bare_config().bootstrap(toml))
}

fn code(manager: &dyn Manager) -> &'static str {
    let error = manager
        .pull(&address("s/g/m v1"), &PullOptions::default())
        .unwrap_err();
    error.code()
}

#[test]
fn a_signed_index_is_taken() {
    let rack = Rack::with_model();
    let keys = KeyPair::generate_unencrypted_keypair().unwrap();
    sign(&rack, &keys);
    let manager = manager(&rack, Some(&keys));
    manager
        .pull(&address("s/g/m v1"), &PullOptions::default())
        .unwrap();
    assert_eq!(rack.server.count("/models.json.minisig"), 1);
    // Unchanged: what was checked need not be checked again.
    manager.list_remote(&RemoteOptions::default()).unwrap();
    assert_eq!(rack.server.requests().last().unwrap().status, 304);
    rack.assert_files("s/g/m v1", &sample());
}

#[test]
fn an_index_that_is_not_signed_as_configured_is_refused() {
    let keys = KeyPair::generate_unencrypted_keypair().unwrap();
    let others = KeyPair::generate_unencrypted_keypair().unwrap();
    type Spoil<'a> = dyn Fn(&Rack) + 'a;
    let cases: [(&str, &Spoil<'_>, &str); 7] = [
        (
            "no signature",
            &|rack| rack.server.remove("/models.json.minisig"),
            "REGISTRY_ERROR",
        ),
        ("another key", &|rack| sign(rack, &others), "REGISTRY_ERROR"),
        (
            "a changed index",
            &|rack| {
                rack.publish("g/m v2", &sample());
            },
            "REGISTRY_ERROR",
        ),
        (
            "a changed body",
            &|rack| {
                rack.server.rule(Rule::path("/models.json").flip(9));
            },
            "REGISTRY_ERROR",
        ),
        (
            "a web page",
            &|rack| {
                rack.server.rule(Rule::path_ends(".minisig").html());
            },
            "REGISTRY_ERROR",
        ),
        (
            "a long one",
            &|rack| {
                rack.server
                    .rule(Rule::path_ends(".minisig").body(vec![b'x'; 5000]));
            },
            "REGISTRY_ERROR",
        ),
        (
            "an error",
            &|rack| {
                rack.server.rule(Rule::path_ends(".minisig").status(500));
            },
            "NETWORK_ERROR",
        ),
    ];
    for (what, spoil, expected) in cases {
        let rack = Rack::with_model();
        sign(&rack, &keys);
        spoil(&rack);
        assert_eq!(code(&manager(&rack, Some(&keys))), expected, "{what}");
        assert_eq!(rack.data_requests(), Vec::<String>::new(), "{what}");
        assert_eq!(rack.listed(), (vec![], vec![]), "{what}");
    }
}

#[test]
fn a_refused_index_does_not_replace_the_one_before() {
    let rack = Rack::with_model();
    let keys = KeyPair::generate_unencrypted_keypair().unwrap();
    sign(&rack, &keys);
    let manager = manager(&rack, Some(&keys));
    manager.list_remote(&RemoteOptions::default()).unwrap();
    rack.publish("g/m v2", &sample());
    assert_eq!(code(&manager), "REGISTRY_ERROR");
    let offline = RemoteOptions::default().offline(true);
    assert_eq!(manager.list_remote(&offline).unwrap().models.len(), 1);
}

#[test]
fn a_copy_that_was_cached_without_a_key_does_not_count_once_there_is_one() {
    let rack = Rack::with_model();
    let keys = KeyPair::generate_unencrypted_keypair().unwrap();
    manager(&rack, None)
        .list_remote(&RemoteOptions::default())
        .unwrap();
    let signed = manager(&rack, Some(&keys));
    let offline = RemoteOptions::default().offline(true);
    assert_eq!(signed.list_remote(&offline).unwrap_err().code(), "OFFLINE");
    assert_eq!(code(&signed), "REGISTRY_ERROR");
    sign(&rack, &keys);
    signed.list_remote(&RemoteOptions::default()).unwrap();
    assert_eq!(signed.list_remote(&offline).unwrap().models.len(), 1);
    // Nor one that was signed with another.
    let others = KeyPair::generate_unencrypted_keypair().unwrap();
    assert_eq!(code(&manager(&rack, Some(&others))), "REGISTRY_ERROR");
}

#[test]
fn a_malformed_key_is_an_error_of_the_configuration() {
    let rack = Rack::with_model();
    let toml = format!(
        "[sources.s]\nurl = \"{}\"\npublic_key = \"abc\"\n",
        rack.server.url()
    );
    assert_eq!(
        code(&rack.manager_of(rack.bare_config().bootstrap(toml))),
        "CONFIG_ERROR"
    );
}

/// An index, keys, and signatures of the older form, which is of the bytes and not of their digest: by minisign 0.11 with
/// `-l`, and by py-minisign 0.21, whose `sign_file` makes no other.
const INDEX: &str = r#"{"g":{"m":{}}}"#;
const OLDER: [(&str, &str); 2] = [
    (
        "RWQoi38cIpOL0rqq8QFyYpqzyCFYVIC17y2wYs6TvSSBHVsEIPrayB2q",
        "untrusted comment: signature from minisign secret key
RWQoi38cIpOL0thonH1tS/AVATl0z0X+LdLbCGLxl/pbrlsiCGL9pZdSMTG97w4Wul4jr3FsAEEeABrdyIACUyk8mMoWbVFKygA=
trusted comment: timestamp:1796001474\tfile:models.json
3zzmnlCPNOzXPs7tFUaYTGyrIzDC9BeinhAPUMEeFcYrqe/WvBae8/U+FsR7R4nLYPesMdYVcQ9TAFqZ/o5kCg==
",
    ),
    (
        "untrusted comment: a comment\nRWT3e3ntvWPqK6wFLW5yvXWCke3zeXU1T1NI5Aa0eHq2gXqxTC2WWllF",
        "untrusted comment: signature from minisign secret key
RWT3e3ntvWPqKx/VURGHStzn5reyzPQjtGnww9azOnpkySpmznTshJxEv+51opZvVnAUe0Rhpo9jqJjH39UneEGWFrKueBc/Ows=
trusted comment: timestamp:1796001474\tfile:models.json
8KjFD6Jg0g5JDuiS7iXTVJXY7K20ZXyWUBAFChz++BkvoeC4vGZpPW/ZZO/pOHj5WhIURAGwJC6RAkyyI9k4Ag==",
    ),
];

#[test]
fn an_older_signature_is_verified_as_well() {
    let list = |key: &str, index: &str, signature: &str| {
        let rack = Rack::new();
        rack.server.put("/models.json", index);
        rack.server.put("/models.json.minisig", signature);
        let url = rack.server.url();
        let toml = format!("[sources.s]\nurl = \"{url}\"\npublic_key = \"\"\"{key}\"\"\"\n");
        let manager = rack.manager_of(rack.bare_config().bootstrap(toml));
        let listed = manager.list_remote(&RemoteOptions::default());
        listed.map(drop).map_err(|error| chain(&error))
    };
    for (key, signature) in OLDER {
        list(key, INDEX, signature).unwrap();
        let comment = signature.replace("file:models", "file:others");
        for (index, signature) in [(&*INDEX.replace('m', "n"), signature), (INDEX, &comment)] {
            let error = list(key, index, signature).unwrap_err();
            assert!(error.contains("does not match its signature"), "{error}");
        }
    }
    let error = list(OLDER[0].0, INDEX, OLDER[1].1).unwrap_err();
    assert!(error.contains("signed with another key"), "{error}");
}
