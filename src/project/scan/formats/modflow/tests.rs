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
fn bytes_are_read_whatever_their_encoding() {
    let folder = ModelFolder::new();
    let latin = |text: &str| -> Vec<u8> { text.chars().map(|c| c as u8).collect() };
    let named = SIMULATION
        .replace("gwt one", "Gelände")
        .replace("# Flow", "# Flüsse");
    let model = folder.model(&FORMAT, "mfsim.nam", &latin(&named));
    assert_eq!(model.metadata["models"][1]["name"], "Gelände");
    assert_eq!(folder.model(&FORMAT, "mfsim.nam", named.as_bytes()), model);
    let classic = format!("# Gelände\n{CLASSIC}");
    folder.model(&FORMAT, "a.nam", &latin(&classic));
    let wide: Vec<u8> = format!("\u{feff}{classic}")
        .encode_utf16()
        .flat_map(u16::to_le_bytes)
        .collect();
    folder.model(&FORMAT, "a.nam", &wide);
}

#[test]
fn commas_separate_words() {
    let model = read(
        "mfsim.nam",
        "BEGIN MODELS\n GWF6,g.nam, g # a, b\nEND MODELS\n",
    )
    .unwrap();
    assert_eq!(
        model.metadata["models"],
        json!([{"type": "gwf6", "name": "g"}])
    );
    let model = read("a.nam", "LIST,7,a.lst\nBAS6, 8 ,'a, b.bas'\n").unwrap();
    assert_eq!(model.metadata["packages"], json!(["bas6"]));
}

#[test]
fn lines_that_are_in_another_file_are_read() {
    let folder = ModelFolder::new();
    folder.file("m/sub/models.txt", b"# two\n GWF6 a.nam a\n GWF6 b.nam b\n");
    folder.file("models.txt", b"GWF6 a.nam a\n");
    let of = |name: &str| {
        let text = format!("BEGIN MODELS\n open/close {name}\nEND MODELS\n");
        folder
            .read(&FORMAT, "m/mfsim.nam", text.as_bytes())
            .unwrap()
            .unwrap()
            .metadata["model_count"]
            .clone()
    };
    assert_eq!(of("sub/models.txt"), 2);
    assert_eq!(of("'sub\\models.txt'"), 2);
    // Nothing is read that is not below the folder, and what the simulation lists is then not known.
    assert_eq!(of("../models.txt"), 0);
    assert_eq!(of("none.txt"), 0);
    folder.file("m/bad.txt", b"GWF6\n");
    let text = b"BEGIN MODELS\n GWF6 a.nam a\n OPEN/CLOSE bad.txt\nEND MODELS\n";
    let refusal = folder.refusal(&FORMAT, "m/mfsim.nam", text);
    assert!(refusal.starts_with("line 3 lists no model"), "{refusal}");
}

/// The outputs of a run of the model with a name file, `a.nam` or `m/mfsim.nam`.
fn outputs(name_file: &str, files: &[(&str, &str)]) -> Vec<String> {
    let folder = ModelFolder::new();
    for (name, text) in files {
        folder.file(name, text.as_bytes());
    }
    outputs_of_run(name_file, folder.path())
        .into_iter()
        .collect()
}

#[test]
fn the_outputs_of_a_classic_model_are_those_that_its_name_file_names() {
    let text = "# flopy 3.11.0\nLIST 2 nwt.list\nGLOBAL,3,.\\out\\All.txt\nBAS6 13 nwt.bas\nDATA(BINARY) 51 nwt.heads REPLACE\n\
        DATA 52 wells.dat OLD\nDATA 53 obs.out replace\nDATA(BINARY) 54 unknown.bin\n";
    assert_eq!(
        outputs("a.nam", &[("a.nam", text)]),
        ["nwt.heads", "nwt.list", "obs.out", "out/all.txt"]
    );
    assert_eq!(outputs("a.nam", &[("a.nam", "LIST 2 a.list\n")]), [""; 0]);
}

#[test]
fn the_outputs_of_a_simulation_are_those_that_its_files_name() {
    let files = [
        (
            "m/mfsim.nam",
            "BEGIN TIMING\n TDIS6 s.tdis\nEND TIMING\nBEGIN MODELS\n GWF6 g.nam g\n OPEN/CLOSE more.txt\nEND MODELS\n\
             BEGIN EXCHANGES\n GWF6-GWF6 x.exg g h\nEND EXCHANGES\nBEGIN SOLUTIONGROUP 1\n IMS6 s.ims g h\nEND SOLUTIONGROUP\n",
        ),
        ("m/more.txt", "GWF6 h.nam h\n"),
        (
            "m/g.nam",
            "BEGIN OPTIONS\n LIST g.listing\nEND OPTIONS\nBEGIN PACKAGES\n OC6 g.oc oc\n OBS6 g.obs obs\n SFR6 g.sfr sfr\nEND PACKAGES\n",
        ),
        ("m/h.nam", "begin options\n list 'H.listing'\nend options\n"),
        (
            "m/g.oc",
            "BEGIN OPTIONS\n BUDGET FILEOUT g.budget\n HEAD FILEOUT out/g.heads\nEND OPTIONS\n",
        ),
        (
            "m/g.obs",
            "BEGIN OPTIONS\nEND OPTIONS\nBEGIN CONTINUOUS FILEOUT g.csv BINARY\nEND CONTINUOUS\n",
        ),
        (
            "m/g.sfr",
            "BEGIN OPTIONS\n STAGE FILEOUT g.stage\n OBS6 FILEIN g.sfr.obs\nEND OPTIONS\nBEGIN PACKAGEDATA\n X FILEOUT no.txt\n",
        ),
        (
            "m/g.sfr.obs",
            "BEGIN CONTINUOUS FILEOUT sfr.csv\nEND CONTINUOUS\n",
        ),
        (
            "m/x.exg",
            "BEGIN OPTIONS\n OBS6 FILEIN x.obs\n WRITES FILEOUT s.tdis\nEND OPTIONS\n",
        ),
        (
            "m/s.ims",
            "BEGIN OPTIONS\n CSV_OUTER_OUTPUT FILEOUT outer.csv\nEND OPTIONS\n",
        ),
    ];
    let expected = [
        "m/g.budget",
        "m/g.csv",
        "m/g.listing",
        "m/g.stage",
        "m/h.listing",
        "m/out/g.heads",
        "m/outer.csv",
        "m/sfr.csv",
    ];
    assert_eq!(outputs("m/mfsim.nam", &files), expected);
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
    let large = " ".repeat(MAX_NAME_FILE_BYTES as usize + 1);
    let refusal = folder.refusal(&FORMAT, "mfsim.nam", large.as_bytes());
    assert!(refusal.starts_with("more than 1.0 MB"), "{refusal}");
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
