//! Hands the linker its script.

fn main() {
    let here = std::env::var("CARGO_MANIFEST_DIR").expect("cargo sets it");
    println!("cargo:rustc-link-arg-bins=-T{here}/../support/link.ld");
    println!("cargo:rerun-if-changed=../support/link.ld");
}
