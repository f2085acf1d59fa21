// An expression that the examples of the documentation include in a hidden line: a temporary folder, and a manager whose
// store is in it and whose one source, `digits`, is the registry in `examples/registry`.
{
    let folder = tempfile::tempdir()?;
    let registry = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/registry");
    // A program built on another system may name its folder without a drive.
    let registry = modelrack::transport::Url::from_path(&std::path::absolute(registry)?)?;
    let home = modelrack::Environment::empty(modelrack::config::System::Linux, folder.path());
    let config = modelrack::Config::new("tool")
        .bootstrap(format!("[sources.digits]\nurl = \"{registry}\"\n"))
        .data_dir(folder.path().join("models"));
    let manager = modelrack::ModelManager::builder(config).environment(home).build();
    (folder, manager)
}
