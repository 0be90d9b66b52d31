//! Texts to measure with: made anew wherever they are needed, the same to the byte everywhere.
//!
//! The program `bench` writes them to files and lets Mapmill and others count them; the benchmarks
//! of the hot loops, and the counts of their instructions, hold them in memory. `BENCHMARKS.md` at
//! the top of the repository says how to run all three, and has the results.

mod alias;
pub mod loops;
mod random;
pub mod say;
pub mod texts;
mod vocabulary;

/// The top of the checkout: the sample texts, whose words are the vocabulary, are below it.
#[must_use]
pub fn top() -> std::path::PathBuf {
    let bench = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    bench.parent().expect("this crate is in the checkout").to_path_buf()
}
