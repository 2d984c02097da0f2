//! Puts the example bundle into the program, so that it runs without any file.

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::{env, fs, io};

fn main() -> io::Result<()> {
    embed("../examples/policy", "embedded_policy.rs", is_of_bundle)?;
    // The files of `octroi demo`, which it puts beside those.
    embed("../examples/demo", "embedded_demo.rs", |name| {
        !name.ends_with(".md")
    })
}

/// Writes a table of the files below `directory`: their names there, and what is in them.
fn embed(directory: &str, table_name: &str, is_wanted: fn(&str) -> bool) -> io::Result<()> {
    let root = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").unwrap_or_default())
        .join(directory)
        .canonicalize()?;
    println!("cargo::rerun-if-changed={}", root.display());
    let mut files = Vec::new();
    collect(&root, "", &mut files)?;
    files.retain(|(name, _)| is_wanted(name));
    files.sort();
    let mut table = String::from("&[\n");
    for (name, path) in &files {
        writeln!(
            table,
            "    ({name:?}, include_bytes!({:?})),",
            path.display().to_string()
        )
        .map_err(io::Error::other)?;
    }
    table.push_str("]\n");
    let output = PathBuf::from(env::var_os("OUT_DIR").unwrap_or_default());
    fs::write(output.join(table_name), table)
}

/// What belongs to a bundle: YAML, and everything below `lists/`.
fn is_of_bundle(name: &str) -> bool {
    let endings = [".yaml", ".yml", ".txt"];
    name.starts_with("lists/") || endings.iter().any(|ending| name.ends_with(ending))
}

/// All files but hidden ones.
fn collect(directory: &Path, prefix: &str, files: &mut Vec<(String, PathBuf)>) -> io::Result<()> {
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        let Some(name) = path.file_name().and_then(|name| name.to_str()) else {
            continue;
        };
        if name.starts_with('.') {
            continue;
        }
        let inside = format!("{prefix}{name}");
        if path.is_dir() {
            collect(&path, &format!("{inside}/"), files)?;
        } else {
            files.push((inside, path));
        }
    }
    Ok(())
}
