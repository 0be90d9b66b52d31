//! The format Parquet: a column `word`, a column `count`.
//!
//! Counts are `int64`, not unsigned: DuckDB, Polars and pandas read both, but Spark reads `uint64`
//! as a decimal, and the difference of two unsigned counts is an error or wraps. Words are
//! Zstandard without a dictionary, as no word is there twice; counts have one, as most are small.

use std::io::{self, Write};
use std::mem;
use std::sync::Arc;

use parquet::basic::{Compression, ZstdLevel};
use parquet::data_type::{ByteArray, ByteArrayType, Int64Type};
use parquet::errors::ParquetError;
use parquet::file::metadata::SortingColumn;
use parquet::file::properties::WriterProperties;
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::parser::parse_message_type;
use parquet::schema::types::ColumnPath;

use super::Sink;
use super::destination::Destination;
use super::error::ExportError;
use crate::flags::Order;

pub(super) struct Parquet {
    writer: SerializedFileWriter<Output>,
    /// What a message calls the destination.
    place: String,
    /// The words of the row group, end to end.
    words: Vec<u8>,
    /// Where each of them ends.
    ends: Vec<usize>,
    counts: Vec<i64>,
    words_not_utf8: u64,
}

impl Parquet {
    pub(super) fn begin(destination: Destination, sort: Order) -> Result<Self, ExportError> {
        let schema = "message counts { required binary word (string); required int64 count; }";
        let schema = Arc::new(parse_message_type(schema).expect("a schema without errors"));
        let sorting = match sort {
            Order::Count => SortingColumn { column_idx: 1, descending: true, nulls_first: false },
            Order::Word => SortingColumn { column_idx: 0, descending: false, nulls_first: false },
        };
        let properties = WriterProperties::builder()
            .set_created_by(concat!("mapmill version ", env!("CARGO_PKG_VERSION")).to_owned())
            .set_compression(Compression::ZSTD(ZstdLevel::try_new(1).expect("a level of zstd")))
            .set_column_dictionary_enabled(ColumnPath::from("word"), false)
            .set_sorting_columns(Some(vec![sorting]))
            .build();
        let place = destination.place();
        let writer = SerializedFileWriter::new(Output(destination), schema, Arc::new(properties));
        Ok(Self {
            writer: writer.map_err(|error| refused(&place, error))?,
            place,
            words: Vec::new(),
            ends: Vec::new(),
            counts: Vec::new(),
            words_not_utf8: 0,
        })
    }

    fn write_group(&mut self) -> Result<(), ParquetError> {
        let words = ByteArray::from(mem::take(&mut self.words));
        let mut start = 0;
        let slice = |&end: &usize| {
            let length = end - start;
            words.slice(mem::replace(&mut start, end), length)
        };
        let slices: Vec<_> = self.ends.iter().map(slice).collect();
        let mut group = self.writer.next_row_group()?;
        let mut column = group.next_column()?.expect("the first of two columns");
        // In parts: the writer closes a page when a part is written, and a page is in memory.
        for part in slices.chunks(PART_WORDS) {
            column.typed::<ByteArrayType>().write_batch(part, None, None)?;
        }
        column.close()?;
        let mut column = group.next_column()?.expect("the second of two columns");
        column.typed::<Int64Type>().write_batch(&self.counts, None, None)?;
        column.close()?;
        group.close()?;
        self.ends.clear();
        self.counts.clear();
        Ok(())
    }

    fn end(mut self) -> Result<Output, ParquetError> {
        if !self.ends.is_empty() {
            self.write_group()?;
        }
        self.writer.into_inner()
    }
}

impl Sink for Parquet {
    fn add(&mut self, word: &[u8], count: u64) -> Result<(), ExportError> {
        self.counts.push(i64::try_from(count).map_err(|_| ExportError::TooMany { count })?);
        if str::from_utf8(word).is_ok() {
            self.words.extend(word);
        } else {
            self.words_not_utf8 += 1;
            self.words.extend(String::from_utf8_lossy(word).as_bytes());
        }
        self.ends.push(self.words.len());
        if self.ends.len() == GROUP_WORDS || self.words.len() >= GROUP_BYTES {
            self.write_group().map_err(|error| refused(&self.place, error))?;
        }
        Ok(())
    }

    fn finish(self: Box<Self>) -> Result<(Destination, u64), ExportError> {
        let (place, words_not_utf8) = (self.place.clone(), self.words_not_utf8);
        let Output(destination) = self.end().map_err(|error| refused(&place, error))?;
        Ok((destination, words_not_utf8))
    }
}

struct Output(Destination);

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write_bytes(bytes)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn refused(place: &str, error: ParquetError) -> ExportError {
    let source = if let ParquetError::External(error) = error {
        error.downcast::<io::Error>().map_or_else(io::Error::other, |error| *error)
    } else {
        io::Error::other(error)
    };
    ExportError::write(place.to_owned(), source)
}

/// The row groups of DuckDB have as many rows; readers share out row groups among their threads.
const GROUP_WORDS: usize = 122_880;

/// With long words a row group is smaller.
const GROUP_BYTES: usize = 4 << 20;

/// Words that are encoded at once.
const PART_WORDS: usize = 1_024;

#[cfg(test)]
mod tests {
    use std::fs::{self, File};

    use parquet::file::reader::{FileReader, SerializedFileReader};
    use parquet::record::RowAccessor;

    use super::*;

    #[test]
    fn words_are_read_back_over_many_row_groups() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("words.parquet");
        let destination = Destination::open(Some(&path)).unwrap();
        let mut sink = Box::new(Parquet::begin(destination, Order::Word).unwrap());
        let words = GROUP_WORDS as u64 * 2 + 6;
        let word = |number: u64| match number {
            0 => vec![0xff; 3],
            // Words that make a row group smaller.
            1..6 => vec![b'x'; 1 << 20],
            number => format!("word{number}").into_bytes(),
        };
        for number in 0..words {
            sink.add(&word(number), number + 1).unwrap();
        }
        let (destination, words_not_utf8) = sink.finish().unwrap();
        let bytes = destination.publish().unwrap();
        assert_eq!(words_not_utf8, 1);
        assert_eq!(bytes, fs::metadata(&path).unwrap().len());

        let reader = SerializedFileReader::new(File::open(&path).unwrap()).unwrap();
        assert_eq!(reader.metadata().file_metadata().num_rows(), words as i64);
        assert_eq!(reader.num_row_groups(), 4);
        for (number, row) in (0..words).zip(reader.get_row_iter(None).unwrap()) {
            let row = row.unwrap();
            assert_eq!(row.get_string(0).unwrap(), &*String::from_utf8_lossy(&word(number)));
            assert_eq!(row.get_long(1).unwrap(), number as i64 + 1);
        }
    }

    #[test]
    fn count_that_an_int64_cannot_hold_is_refused() {
        let destination = Destination::open(Some("/dev/null".as_ref())).unwrap();
        let mut sink = Parquet::begin(destination, Order::Count).unwrap();
        sink.add(b"a", i64::MAX as u64).unwrap();
        let error = sink.add(b"b", 1 << 63).unwrap_err();
        let sentence =
            "the count 9223372036854775808 does not fit in an int64, as the column has it";
        assert_eq!(error.to_string(), sentence);
    }
}
