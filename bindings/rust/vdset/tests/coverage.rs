//! Goal: no call, constant or struct of vdset-sys is forgotten by this crate. Method: what the
//! sources of vdset-sys declare, each name to be found in the code of this crate, comments aside.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// What this crate has no use for.
const NOT_HERE: [(&str, &str); 1] =
    [("vdset_completion", "the type of a field of vdset_command; an order fills it in")];

fn is_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

fn code_of(text: &str) -> impl Iterator<Item = &str> {
    text.lines().map(|line| line.split("//").next().unwrap_or(""))
}

/// The names after `pub fn`, `pub const` and their like.
fn declared(text: &str) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for line in code_of(text) {
        let mut words = line.split(|c| !is_word(c)).filter(|word| !word.is_empty());
        if words.next() != Some("pub") {
            continue;
        }
        if let (Some("fn" | "const" | "struct" | "type"), Some(name)) = (words.next(), words.next())
        {
            names.insert(name.to_owned());
        }
    }
    names
}

fn used(folder: &Path) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for file in fs::read_dir(folder).unwrap() {
        let text = fs::read_to_string(file.unwrap().path()).unwrap();
        for line in code_of(&text) {
            names.extend(line.split(|c| !is_word(c)).map(str::to_owned));
        }
    }
    names
}

#[test]
fn all_of_the_header_is_in_this_crate() {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let sys = declared(&fs::read_to_string(here.join("../vdset-sys/src/lib.rs")).unwrap());
    let calls = sys.iter().filter(|name| name.starts_with("vdset_server_get_")).count();
    assert!(sys.len() > 150 && calls >= 5, "{} names, {} of these calls", sys.len(), calls);
    let used = used(&here.join("src"));
    let missing: Vec<_> = sys.difference(&used).map(String::as_str).collect();
    let expected: Vec<_> = NOT_HERE.iter().map(|(name, _)| *name).collect();
    assert_eq!(missing, expected, "in vdset-sys, and not in the sources of this crate");
}
