use serde_json::{Value, json};

use super::super::tests::ModelFolder;
use super::*;

const SIMULATION: &str = "# Flow and transport\n\
    BEGIN options\n  MEMORY_PRINT_OPTION summary\nEND options\n\n\
    begin TIMING\n  TDIS6 'my sim.tdis'  # days\nend timing\n\
    BEGIN models\n  GWF6 gwf.nam gwf_1 ! flow\n  gwt6 \"my gwt.nam\" 'gwt one' // transport\n  GWF6 b.nam #none\nEND models\n\
    BEGIN exchanges\n  GWF6-GWT6 a.exg gwf_1 gwt_1\nEND exchanges\n\
    BEGIN solutiongroup 1\n  IMS6 flow.ims gwf_1\nEND solutiongroup 1\n\
    BEGIN solutiongroup 2\n  IMS6 transport.ims gwt_1\nEND solutiongroup 2\n";

const CLASSIC: &str = "# A model\nLIST 7 tutorial.lst\nBAS6  13 tutorial.bas\n dis 11 tutorial.dis\n\
    LPF 15 'tutorial one.lpf'\nDATA(BINARY) 50 tutorial.hds REPLACE\n";

fn read(name: &str, text: &str) -> Option<Description> {
    ModelFolder::new()
        .read(&FORMAT, name, text.as_bytes())
        .unwrap()
}

#[test]
fn the_facts_of_a_simulation_are_read() {
    for text in [
        SIMULATION.to_owned(),
        format!("\u{feff}{}", SIMULATION.replace('\n', "\r\n")),
    ] {
        let model = read("ex/MFSIM.NAM", &text).unwrap();
        assert_eq!(model.extent, Extent::Folder);
        assert_eq!(model.tags, ["modflow6", "gwf", "gwt"]);
        assert_eq!(model.model_type.as_deref(), Some("other"));
        let expected = json!({
            "simulation": "MODFLOW 6", "model_count": 3, "exchanges": 1, "solution_groups": 2,
            "models": [
                {"type": "gwf6", "name": "gwf_1"}, {"type": "gwt6", "name": "gwt one"}, {"type": "gwf6"},
            ],
        });
        assert_eq!(Value::from(model.metadata), expected);
    }
    assert!(read("sim.nam", SIMULATION).is_some());
}

#[test]
fn at_most_a_hundred_models_are_listed() {
    let models: String = (0..500)
        .map(|number| format!("GWF6 {number}.nam m{number}\n"))
        .collect();
    let model = read("mfsim.nam", &format!("BEGIN MODELS\n{models}END MODELS\n")).unwrap();
    assert_eq!(model.metadata["model_count"], 500);
    assert_eq!(model.metadata["models"].as_array().unwrap().len(), 100);
}

#[test]
fn damaged_simulations_are_refused() {
    for (text, why) in [
        ("", "the simulation lists no model"),
        ("# nothing\n", "the simulation lists no model"),
        (
            "BEGIN MODELS\nEND MODELS\n",
            "the simulation lists no model",
        ),
        (
            "BEGIN MODELS\nGWF6 a.nam a\n",
            "the block 'MODELS' does not end",
        ),
        (
            "BEGIN MODELS\nGWF6 a.nam a\nEND TIMING\n",
            "line 3 does not end the block 'MODELS'",
        ),
        (
            "BEGIN MODELS\nBEGIN TIMING\n",
            "line 2 begins a block within the block 'MODELS'",
        ),
        ("BEGIN\n", "line 1 begins a block without a name"),
        ("\n\nGWF6 a.nam a\n", "line 3 is in no block"),
        ("BEGIN MODELS\nGWF6\nEND MODELS\n", "line 2 lists no model"),
        (
            "BEGIN MODELS\na.nam GWF6 a\nEND MODELS\n",
            "line 2 lists no model",
        ),
    ] {
        let refusal = ModelFolder::new().refusal(&FORMAT, "a/mfsim.nam", text.as_bytes());
        assert!(refusal.starts_with(why), "{refusal}");
    }
}

#[test]
fn the_packages_of_a_classic_model_are_read() {
    let model = read("t/tutorial.nam", CLASSIC).unwrap();
    assert_eq!(model.extent, Extent::Folder);
    assert_eq!(model.tags, ["modflow", "modflow-2005"]);
    let expected = json!({"simulation": "MODFLOW-2005", "packages": ["bas6", "dis", "lpf"]});
    assert_eq!(Value::from(model.metadata), expected);
    for (line, program) in [
        ("UPW 20 a.upw\n", "MODFLOW-NWT"),
        ("disu 20 a.disu\n", "MODFLOW-USG"),
        ("VDF 20 a.vdf\n", "SEAWAT"),
        ("GLOBAL 20 a.glo\n", "MODFLOW-2000"),
        ("BAS 20 a.bas\n", "MODFLOW-96"),
    ] {
        let model = read("a.nam", &format!("{CLASSIC}{line}")).unwrap();
        assert_eq!(model.metadata["simulation"], program);
    }
    let refusal = ModelFolder::new().refusal(&FORMAT, "a.nam", format!("{CLASSIC}OC\n").as_bytes());
    assert_eq!(
        refusal,
        "line 7 names no file, as 'BAS6 8 model.bas' does (a.nam)"
    );
}

#[test]
fn other_name_files_are_not_models() {
    let part = "BEGIN OPTIONS\nEND OPTIONS\nBEGIN PACKAGES\n  DIS6 a.dis\nEND PACKAGES\n";
    for text in [
        part,
        "",
        "LIST 7 a.lst\n",
        "BAS6 8 a.bas\n",
        "LIST a b\nBAS6 b a\n",
        "# BEGIN MODELS\n",
    ] {
        assert_eq!(read("gwf.nam", text), None, "{text}");
    }
    assert_eq!(read("a.txt", CLASSIC), None);
    let folder = ModelFolder::new();
    assert!(folder.read(&FORMAT, "a.nam", b"caf\xe9").unwrap().is_none());
    let latin = [CLASSIC.as_bytes(), b"# caf\xe9\n"].concat();
    assert!(
        folder
            .refusal(&FORMAT, "a.nam", &latin)
            .starts_with("the file is not UTF-8 text")
    );
    let large = " ".repeat(MAX_NAME_FILE_BYTES as usize + 1);
    let refusal = folder.refusal(&FORMAT, "mfsim.nam", large.as_bytes());
    assert!(refusal.starts_with("more than 1048576 bytes"), "{refusal}");
}

#[test]
fn words_are_read_up_to_a_comment() {
    assert_eq!(
        words(" a 'b c'd \"e\" 'f # g"),
        ["a", "b c", "d", "e", "'f"]
    );
    assert_eq!(words("a!b //c"), ["a!b"]);
    assert_eq!(words("π 'π'#"), ["π", "π"]);
    assert_eq!(words(&"a ".repeat(100)).len(), MAX_WORDS);
    assert!(words("// a").is_empty() && words("").is_empty());
}

#[test]
fn damaged_files_cause_no_panic() {
    let folder = ModelFolder::new();
    folder.damage(&FORMAT, "mfsim.nam", SIMULATION.as_bytes());
    folder.damage(&FORMAT, "a.nam", CLASSIC.as_bytes());
}
