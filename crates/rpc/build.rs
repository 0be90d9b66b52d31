//! Compiles the `.proto` with protox, so that nothing but Rust has to be installed.

use std::path::PathBuf;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    const FILE: &str = "mapmill/v1/mapmill.proto";
    const FOLDER: &str = "../../proto";
    println!("cargo:rerun-if-changed={FOLDER}/{FILE}");

    let mut compiler = protox::Compiler::new([FOLDER])?;
    // Source information carries the comments: whoever asks the reflection service reads them, too.
    compiler.include_imports(true).include_source_info(true).open_file(FILE)?;
    let descriptors = PathBuf::from(std::env::var("OUT_DIR")?).join("mapmill.bin");
    std::fs::write(descriptors, compiler.encode_file_descriptor_set())?;
    tonic_prost_build::configure().compile_fds(compiler.file_descriptor_set())?;
    Ok(())
}
