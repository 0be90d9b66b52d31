//! Map attempts over inputs that are not plain text.

use rpc::message::{Column, Records};

use super::*;

/// `text` in one gzip member, stored: no test needs a compressor for it.
fn gzip(text: &[u8]) -> Vec<u8> {
    let length = u16::try_from(text.len()).unwrap();
    let mut file = b"\x1F\x8B\x08\0\0\0\0\0\0\xFF\x01".to_vec();
    file.extend(length.to_le_bytes());
    file.extend((!length).to_le_bytes());
    file.extend(text);
    file.extend(store::Digest::of(text).crc32.to_le_bytes());
    file.extend(u32::from(length).to_le_bytes());
    file
}

fn json_lines() -> Format {
    let records = Records::JsonLines { field: "text".to_owned() };
    Format { records, ..Format::default() }
}

fn gzipped(format: Format) -> Format {
    Format { compression: Some("gzip".to_owned()), ..format }
}

impl Bench {
    fn split_of(&self, format: Format) -> Split {
        Split { format, ..self.whole()[0].clone() }
    }

    /// Executes a map task over the whole input, and returns its one intermediate.
    #[track_caller]
    fn map_as(&self, format: Format) -> (String, Findings) {
        let task = self.map_task(0, vec![self.split_of(format)]);
        let progress = progress();
        let outcome = self.execute(&task, &progress).unwrap();
        assert_eq!(progress.running().bytes, self.text.len() as u64, "all of the file was read");
        let Outcome::Mapped { buckets, findings } = outcome else { panic!("{outcome:?}") };
        self.publish(&task, &layout::intermediate(0, 0), buckets[0].digest);
        (self.intermediate(0, 0), findings)
    }
}

#[test]
fn documents_end_words_and_are_counted() {
    let file = b"{\"text\":\"to b\"}\n{\"text\":\"e \\u00e9t\\u00e9\"}\n{\"text\":null}\n{}\n";
    for (bench, format) in
        [(Bench::new(1, file), json_lines()), (Bench::new(1, &gzip(file)), gzipped(json_lines()))]
    {
        let (words, findings) = bench.map_as(format);
        assert_eq!(words, "to\nb\ne\nété\n");
        assert_eq!(findings, Findings { documents: 4, ..Findings::default() });
    }
    let bench = Bench::new(1, &gzip(b"to be\xFF"));
    let (words, findings) = bench.map_as(gzipped(Format::default()));
    assert_eq!(words, "to\nbe\n");
    assert_eq!((findings.documents, findings.invalid_splits), (1, vec![(0, 1)]));

    let bench = Bench::new(1, b"a,b\n1,\"x\ny\"\n");
    let column = Column::Name("b".to_owned());
    let records = Records::Csv { column, delimiter: b',' };
    assert_eq!(bench.map_as(Format { records, ..Format::default() }).0, "x\ny\n");
}

#[test]
fn records_that_a_cut_divides_are_read_once() {
    let file = b"{\"text\":\"one two\"}\n{\"text\":\"three\"}\n";
    for cut in 1..file.len() {
        let bench = Bench::new(1, file);
        let (first, second) = (bench.splits(0, cut), bench.splits(cut, file.len()));
        let words = |(task, split): (u32, &Split)| {
            let split = Split { format: json_lines(), ..split.clone() };
            bench.map(task, &[split]);
            bench.intermediate(task, 0)
        };
        let found: String = (0..).zip(&[first, second].concat()).map(words).collect();
        assert_eq!(found, "one\ntwo\nthree\n", "cut at {cut}");
    }
}

#[test]
fn bad_record_fails_the_attempt_unless_it_is_skipped() {
    let file = b"{\"text\":\"one\"}\n{\"text\":}\n{\"text\":\"two\"}\n";
    let mut bench = Bench::new(1, file);
    let failure = bench.failure(&bench.map_task(0, vec![bench.split_of(json_lines())]));
    let path = bench.path("input");
    let expected = Failure::InputDamaged {
        path: path.clone(),
        offset: 15,
        text_offset: 15,
        record: Some(2),
        detail: "bad record: invalid syntax".to_owned(),
    };
    assert_eq!(failure, expected);

    bench.job.skip_bad_records = true;
    let (words, findings) = bench.map_as(json_lines());
    assert_eq!(words, "one\ntwo\n");
    assert_eq!((findings.documents, findings.bad_records), (2, 1));
    let problem = "invalid syntax".to_owned();
    let bad = rpc::message::BadRecord { split: 0, offset: 15, number: Some(2), problem };
    assert_eq!(findings.first_bad_records, [bad]);
}

#[test]
fn damaged_file_fails_the_attempt_with_both_offsets() {
    let mut file = gzip(b"to be or not");
    file.truncate(file.len() - 9);
    let bench = Bench::new(1, &file);
    let failure =
        bench.failure(&bench.map_task(0, vec![bench.split_of(gzipped(Format::default()))]));
    let expected = Failure::InputDamaged {
        path: bench.path("input"),
        offset: file.len() as u64,
        text_offset: 11,
        record: None,
        detail: "an early end".to_owned(),
    };
    assert_eq!(failure, expected);
    assert!(!bench.is_staged(&bench.map_task(0, vec![])));
}

/// A driver of a later version may know more.
#[test]
fn format_that_the_worker_does_not_know_is_named() {
    let bench = Bench::new(1, b"text");
    let named = |name: &str| Some(name.to_owned());
    for format in [
        Format { compression: named("brotli"), ..Format::default() },
        Format { encoding: named("klingon"), ..Format::default() },
        Format { records: Records::JsonLines { field: "a..b".to_owned() }, ..Format::default() },
        #[cfg(not(feature = "parquet"))]
        Format { records: Records::Parquet { column: "a".to_owned() }, ..Format::default() },
    ] {
        let failure = bench.failure(&bench.map_task(0, vec![bench.split_of(format)]));
        assert!(matches!(failure, Failure::FormatUnknown { .. }), "{failure}");
    }
    // What cannot be cut is not counted twice.
    let split = Split { format: gzipped(Format::default()), ..bench.splits(0, 2)[0].clone() };
    let failure = bench.failure(&bench.map_task(0, vec![split]));
    assert!(matches!(failure, Failure::FormatUnknown { .. }), "{failure}");
}

/// `text` in a block of BGZF, stored.
fn bgzf_block(text: &[u8]) -> Vec<u8> {
    let mut block = gzip(text);
    block[3] = 4;
    let bytes = u16::try_from(block.len() + 8 - 1).unwrap();
    let extra = [&[6, 0, b'B', b'C', 2, 0][..], &bytes.to_le_bytes()].concat();
    block.splice(10..10, extra);
    block
}

/// A word belongs to the split in which it begins, and so does the document.
#[test]
fn file_with_an_index_has_each_word_once_wherever_it_is_cut() {
    let parts =
        ["to be or n", "ot to be t", "hat is the ques", "", "ti", "on wh", "ether é", " tis"];
    let file: Vec<u8> = parts.iter().flat_map(|part| bgzf_block(part.as_bytes())).collect();
    let bench = Bench::new(1, &file);
    let bgzf = Format { compression: Some("bgzf".to_owned()), ..Format::default() };
    let whole = bench.split_of(bgzf);
    for cut in 1..whole.end {
        let splits = [Split { end: cut, ..whole.clone() }, Split { start: cut, ..whole.clone() }];
        let mut words = String::new();
        let mut documents = 0;
        for (task, split) in (2 * cut as u32..).zip(splits) {
            let task = bench.map_task(task, vec![split]);
            let Outcome::Mapped { buckets, findings } = bench.execute(&task, &progress()).unwrap()
            else {
                panic!("it maps");
            };
            let name = layout::intermediate(task.attempt.task, 0);
            bench.publish(&task, &name, buckets[0].digest);
            words += &bench.intermediate(task.attempt.task, 0);
            documents += findings.documents;
        }
        let expected = parts.concat().replace(' ', "\n") + "\n";
        assert_eq!((words, documents), (expected, 1), "cut at {cut}");
    }
}
