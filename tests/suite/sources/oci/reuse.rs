//! Layers that other tools of this machine have already.

use std::fs;

use super::{Machine, llama};
use crate::support::disk::{files_below, flip, write_files};
use crate::support::oci::sha256;

#[test]
fn what_other_tools_have_is_taken_from_there_and_left_as_it_is() {
    for store in [
        ".ollama/models/blobs/sha256-",
        ".docker/models/blobs/sha256/",
    ] {
        let (machine, _) = Machine::with_llama();
        let home = machine.rack.temp.path().join("home");
        let name = |bytes: &[u8]| sha256(bytes).replace("sha256:", store);
        let [_, (_, gguf), (_, onnx)] = &llama()[..] else {
            panic!("{:?}", llama());
        };
        write_files(&home, &[(&name(gguf), gguf), (&name(onnx), onnx)]);
        // Damaged, it comes over the network.
        flip(&home.join(name(onnx)), 7);
        let folder = home.join(store.split_once('/').unwrap().0);
        let before = files_below(&folder);
        let report = machine.pull("oci/acme/llama q4").unwrap();
        machine.assert_llama_installed("oci/acme/llama q4");
        let requests = machine.requests();
        let asks_for = |bytes| requests.iter().any(|it| it.ends_with(&sha256(bytes)));
        assert_eq!((asks_for(gguf), asks_for(onnx)), (false, true), "{store}");
        // The copy is our own.
        fs::write(report.path.join("model.gguf"), "changed").unwrap();
        assert_eq!(files_below(&folder), before, "{store}");
    }
}
