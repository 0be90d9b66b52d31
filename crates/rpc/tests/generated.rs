//! The generated code in `src/wire/pb.rs` and below it is what the `.proto` gives; `REWRITE=1`
//! writes it anew.

use std::fs;
use std::path::Path;

const PROTO: &str = "mapmill/v1/mapmill.proto";

/// The header that tells readers not to edit the file.
const HEADER: &str = "\
//! Generated from `proto/mapmill/v1/mapmill.proto`, which has the comments. Do not edit. Change the
//! `.proto`, run `REWRITE=1 cargo test -p rpc --test generated`, then change the code that uses it.

";

/// The build of a fresh machine generates nothing: it would have to build the generator first.
#[test]
fn generated_code_and_descriptors_are_those_of_the_proto() {
    let rpc = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut compiler = protox::Compiler::new([rpc.join("../../proto")]).unwrap();
    // Source information carries the comments: the reflection service shows them.
    compiler.include_imports(true).include_source_info(true).open_file(PROTO).unwrap();
    let mut descriptors = compiler.file_descriptor_set();
    // The generated code does without comments: the `.proto` has them.
    descriptors.file.iter_mut().for_each(|file| file.source_code_info = None);
    let folder = tempfile::tempdir().unwrap();
    tonic_prost_build::configure()
        .build_transport(false)
        .out_dir(folder.path())
        .compile_fds(descriptors)
        .unwrap();
    let generated = fs::read_to_string(folder.path().join("mapmill.v1.rs")).unwrap();

    let (messages, services) = split(&generated);
    check(&rpc.join("src/wire/pb.rs"), format!("{HEADER}{messages}").as_bytes());
    for (name, code) in services {
        check(&rpc.join(format!("src/wire/pb/{name}.rs")), format!("{HEADER}{code}").as_bytes());
    }
    check(&rpc.join("src/wire/pb.bin"), &compiler.encode_file_descriptor_set());
}

/// The generator writes one file. Client and server of the service are modules at its end: each
/// gets a file of its own, which the messages declare.
fn split(generated: &str) -> (String, Vec<(&str, String)>) {
    let mut messages = generated.to_owned();
    let mut services = Vec::new();
    for name in ["driver_client", "driver_server"] {
        let begin = format!("pub mod {name} {{\n");
        let (_, rest) = generated.split_once(&begin).expect("the service has both sides");
        let (body, _) = rest.split_once("\n}\n").expect("a module ends at the margin");
        messages = messages.replace(&format!("{begin}{body}\n}}\n"), &format!("pub mod {name};\n"));
        let lines = body.lines().map(|line| line.strip_prefix("    ").unwrap_or(line));
        services.push((name, lines.map(|line| format!("{line}\n")).collect()));
    }
    (messages, services)
}

#[track_caller]
fn check(path: &Path, expected: &[u8]) {
    if std::env::var_os("REWRITE").is_some() {
        fs::write(path, expected).expect("the source folder can be written");
    }
    assert!(
        fs::read(path).is_ok_and(|kept| kept == expected),
        "{} is not what {PROTO} gives: REWRITE=1 cargo test -p rpc --test generated",
        path.display()
    );
}
