//! Files that are far larger than they look are read in bounded memory.

use inputs::{Compression, Event, Format, Limits};
use peak_alloc::PeakAlloc;

#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;

/// A quarter of a gigabyte of zeros, in files of half a megabyte or less. In one test: the peak is
/// the process's.
#[test]
fn hundreds_of_megabytes_of_zeros_are_read_in_bounded_memory() {
    const BYTES: u64 = 256 << 20;
    let gzip = {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::new(9));
        write_zeros(&mut encoder, BYTES);
        encoder.finish().unwrap()
    };
    let bzip2 = {
        let mut encoder = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::new(9));
        write_zeros(&mut encoder, BYTES);
        encoder.finish().unwrap()
    };
    let xz = {
        let mut encoder = liblzma::write::XzEncoder::new(Vec::new(), 0);
        write_zeros(&mut encoder, BYTES);
        encoder.finish().unwrap()
    };
    for (compression, file) in
        [(Compression::Gzip, gzip), (Compression::Bzip2, bzip2), (Compression::Xz, xz)]
    {
        assert!(file.len() < 2 << 20, "{}", file.len());
        let format = Format { compression, ..Format::default() };
        let before = MEMORY.current_usage();
        MEMORY.reset_peak_usage();
        let limits = Limits { memory_bytes: 32 << 20 };
        let mut events = inputs::open(&file[..], &format, 0..file.len() as u64, limits).unwrap();
        let mut length = 0;
        while let Some(event) = events.next_event().unwrap() {
            if let Event::Text(text) = event {
                length += text.len() as u64;
            }
        }
        assert_eq!(length, BYTES);
        let peak = MEMORY.peak_usage().saturating_sub(before);
        assert!(peak < 16 << 20, "{compression:?}: {peak}");
    }
}

fn write_zeros(encoder: &mut impl std::io::Write, bytes: u64) {
    let zeros = vec![0; 1 << 20];
    for _ in 0..bytes >> 20 {
        encoder.write_all(&zeros).expect("memory can be written");
    }
}
