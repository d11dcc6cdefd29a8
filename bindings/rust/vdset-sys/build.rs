//! Finds libvdset through pkg-config, called as a command: `$PKG_CONFIG`, else `pkg-config`.
//! `VDSET_STATIC=1` links libvdset.a instead of libvdset.so.

use std::env;
use std::process::{exit, Command};

/// The first version that has every call declared here.
const LEAST_VERSION: &str = "vdset >= 0.2.0";

fn fail(why: &str) -> ! {
    eprintln!("vdset-sys: {}", why);
    eprintln!("vdset-sys: install vdset 0.2 or later; PKG_CONFIG_PATH names its lib/pkgconfig");
    exit(1)
}

fn main() {
    for name in [
        "PKG_CONFIG",
        "PKG_CONFIG_PATH",
        "PKG_CONFIG_LIBDIR",
        "PKG_CONFIG_SYSROOT_DIR",
        "VDSET_STATIC",
    ] {
        println!("cargo:rerun-if-env-changed={}", name);
    }
    println!("cargo:rerun-if-changed=build.rs");
    let is_static = env::var("VDSET_STATIC").map_or(false, |value| value == "1");
    let program = env::var_os("PKG_CONFIG").unwrap_or_else(|| "pkg-config".into());
    let mut command = Command::new(&program);
    command.arg("--libs");
    if is_static {
        command.arg("--static");
    }
    let output = match command.arg(LEAST_VERSION).output() {
        Ok(output) => output,
        Err(error) => fail(&format!("cannot run {}: {}", program.to_string_lossy(), error)),
    };
    if !output.status.success() {
        fail(String::from_utf8_lossy(&output.stderr).trim());
    }
    let words = String::from_utf8_lossy(&output.stdout).into_owned();
    let mut found = false;
    for word in words.split_whitespace() {
        if let Some(folder) = word.strip_prefix("-L") {
            println!("cargo:rustc-link-search=native={}", folder);
        } else if let Some(library) = word.strip_prefix("-l") {
            found |= library == "vdset";
            let kind = if is_static && library == "vdset" { "static=" } else { "" };
            println!("cargo:rustc-link-lib={}{}", kind, library);
        }
    }
    if !found {
        fail(&format!("pkg-config names no library vdset: {}", words.trim()));
    }
}
