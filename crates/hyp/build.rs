//! Hands the linker the image's script.

fn main() {
    println!("cargo:rerun-if-changed=link.ld");
    let bare_metal = std::env::var("CARGO_CFG_TARGET_OS").is_ok_and(|os| os == "none");
    if bare_metal && let Ok(here) = std::env::var("CARGO_MANIFEST_DIR") {
        println!("cargo:rustc-link-arg-bins=-T{here}/link.ld");
    }
}
