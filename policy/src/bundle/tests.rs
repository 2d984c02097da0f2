//! Reading from disk: links, volumes, limits.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use super::*;
use crate::diagnostic::Code;

fn write(root: &Path, path: &str, text: &str) {
    let path = root.join(path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

fn paths(bundle: &Bundle) -> Vec<&str> {
    bundle.files().iter().map(File::path).collect()
}

#[test]
fn a_directory_is_read_without_what_is_hidden_or_foreign() {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path();
    for path in [
        "policy.yaml",
        "services/a.yaml",
        "ministries/x/own.yaml",
        "lists/a.txt",
        "lists/deep/b",
        "README.md",
        ".git/config.yaml",
        ".hidden.yaml",
        "lists/.swp",
        "notes.yml",
        "run.sh",
    ] {
        write(root, path, "# nothing\n");
    }
    let bundle = Bundle::read(root).unwrap();
    assert_eq!(
        paths(&bundle),
        [
            "lists/a.txt",
            "lists/deep/b",
            "ministries/x/own.yaml",
            "notes.yml",
            "policy.yaml",
            "services/a.yaml"
        ]
    );
    let kinds: Vec<Kind> = bundle.files().iter().map(File::kind).collect();
    use Kind::{Ignored, Layer, List, National};
    assert_eq!(kinds, [List, List, Layer, Ignored, National, National]);
    assert_eq!(bundle.files()[2].ministry(), Some("x"));
}

/// A Kubernetes volume: visible links into `..data`, itself a link to a dated directory.
fn volume(root: &Path, version: &str, text: &str) {
    write(root, &format!("..{version}/policy.yaml"), text);
    write(root, &format!("..{version}/lists/a.txt"), text);
    let next = root.join("..next");
    symlink(format!("..{version}"), &next).unwrap();
    fs::rename(next, root.join("..data")).unwrap();
    for name in ["policy.yaml", "lists"] {
        let _ = symlink(format!("..data/{name}"), root.join(name));
    }
}

#[test]
fn a_kubernetes_volume_is_read_before_and_after_a_swap() {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path().join("policy");
    volume(&root, "2026_01", "# one\n");
    let before = Bundle::read(&root).unwrap();
    volume(&root, "2026_02", "# two\n");
    let after = Bundle::read(&root).unwrap();
    for (bundle, text) in [(&before, "# one\n"), (&after, "# two\n")] {
        assert_eq!(paths(bundle), ["lists/a.txt", "policy.yaml"]);
        assert!(
            bundle
                .files()
                .iter()
                .all(|file| file.text() == text && file.unreadable().is_none())
        );
    }
    assert_ne!(before.digest(), after.digest());
    let single = Bundle::read(&root.join("policy.yaml")).unwrap();
    assert_eq!(paths(&single), ["policy.yaml"]);
}

#[test]
fn links_out_of_the_bundle_and_loops_are_not_followed() {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path().join("bundle");
    write(&root, "policy.yaml", "version: 1\n");
    write(directory.path(), "secret/key.yaml", "secret\n");
    symlink(
        directory.path().join("secret/key.yaml"),
        root.join("file.yaml"),
    )
    .unwrap();
    symlink(directory.path().join("secret"), root.join("folder")).unwrap();
    symlink("gone.yaml", root.join("dangling.yaml")).unwrap();
    let bundle = Bundle::read(&root).unwrap();
    for path in ["file.yaml", "folder", "dangling.yaml"] {
        let file = &bundle.files()[bundle.position(path).unwrap() as usize];
        assert!(
            file.unreadable().is_some() && file.text().is_empty(),
            "{path}"
        );
    }
    symlink(".", root.join("again")).unwrap();
    assert!(matches!(Bundle::read(&root), Err(ReadError::TooDeep(_))));
}

#[test]
fn one_file_brings_the_lists_it_names_and_no_others() {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path().join("here");
    let text = "rules:\n  - { id: r, effect: deny, when: { domains_from: [lists/a.txt, ../out.txt, lists/none.txt] } }\n";
    write(&root, "policy.yaml", text);
    write(&root, "lists/a.txt", "a.example\n");
    write(&root, "lists/b.txt", "b.example\n");
    write(directory.path(), "out.txt", "out.example\n");
    assert_eq!(
        paths(&Bundle::read(&root.join("policy.yaml")).unwrap()),
        ["lists/a.txt", "policy.yaml"]
    );
}

#[test]
fn what_is_no_file_or_too_large_is_said() {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path();
    assert!(matches!(
        Bundle::read(&root.join("none")),
        Err(ReadError::Io { .. })
    ));
    assert!(matches!(
        Bundle::read(Path::new("/dev/null")),
        Err(ReadError::NotABundle(_))
    ));
    write(
        root,
        "policy.yaml",
        &" ".repeat(usize::try_from(MAX_YAML).unwrap() + 1),
    );
    symlink("/dev/zero", root.join("lists")).unwrap();
    let bundle = Bundle::read(root).unwrap();
    let file = &bundle.files()[bundle.position("policy.yaml").unwrap() as usize];
    assert_eq!(file.unreadable(), Some("larger than 4 MiB"));
    let many = (0..=MAX_FILES).map(|n| (format!("{n}.yaml"), Vec::new()));
    assert!(matches!(
        Bundle::from_files(many),
        Err(ReadError::TooManyFiles)
    ));
}

#[test]
fn the_digest_is_of_paths_and_bytes_and_not_of_their_order() {
    let digest = |files: &[(&str, &str)]| {
        let files = files
            .iter()
            .map(|(path, text)| ((*path).to_owned(), text.as_bytes().to_vec()));
        Bundle::from_files(files).unwrap().digest().clone()
    };
    let one = digest(&[("a.yaml", "x"), ("b.yaml", "y")]);
    assert_eq!(one.len(), 64);
    assert_eq!(one, digest(&[("b.yaml", "y"), ("a.yaml", "x")]));
    assert_ne!(one, digest(&[("a.yaml", "xb.yamly")]));
    assert_ne!(one, digest(&[("a.yaml", "y"), ("b.yaml", "x")]));
    assert_ne!(one, digest(&[("a.yaml", ""), ("xb.yaml", "y")]));
}

/// YAML ends a line at a carriage return, editors show it as a blank: what follows would be hidden.
#[test]
fn a_carriage_return_alone_hides_nothing_in_a_comment() {
    let read = |text: &str| yaml::Document::read(text, 7).map(drop);
    for good in ["version: 1\r\nname: a\r\n", "\u{feff}version: 1\n", ""] {
        assert!(read(good).is_ok(), "{good:?}");
    }
    for (text, line, column) in [
        ("# nothing to see\rrules: []\n", 1, 17),
        ("version: 1\r\n# é\rname: b", 2, 4),
        ("version: 1\r", 1, 11),
        ("\u{feff}\r\r\n", 1, 1),
    ] {
        let error = read(text).unwrap_err();
        let place = error.place();
        assert_eq!((place.line, place.column), (line, column), "{text:?}");
        assert_eq!(error.code, Code::InvalidYaml);
    }
}
