// An expression that the examples of the documentation include in a hidden line: a temporary copy of `examples/project`, in
// which nothing is registered yet.
{
    let folder = tempfile::tempdir()?;
    let example = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/project");
    for name in [
        "calibration.py",
        "data/observed.csv",
        "models/actinf_pomdp_agent.md",
        "models/peak.safetensors",
        "models/sir.py",
        "targets/prevalence.py",
    ] {
        let copy = folder.path().join(name);
        std::fs::create_dir_all(copy.with_file_name(""))?;
        std::fs::copy(example.join(name), copy)?;
    }
    folder
}
