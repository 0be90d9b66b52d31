//! Apache Parquet: one column of strings, of which each row is a document.
//!
//! The `parquet` crate reads the metadata and decodes levels and values. Pages are found and
//! decompressed here, one at a time: the library would decompress without a limit, and read a chunk
//! by headers that were not checked.

use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};

use parquet::basic::{Compression, ConvertedType, LogicalType, Type as PhysicalType};
use parquet::column::reader::ColumnReaderImpl;
use parquet::data_type::{ByteArray, ByteArrayType};
use parquet::file::metadata::{ParquetMetaData, ParquetMetaDataReader, RowGroupMetaData};
use parquet::schema::types::ColumnDescriptor;

use crate::blocks::{Event, Events};
use crate::damage::{Damage, DamageKind, ReadError};
use crate::reader::Limits;
use crate::source::{Source, read_full};

mod header;
mod page;

use page::{NoPage, Pages, Queue, ROWS_MAX};

/// The columns of strings of a file, as dotted paths, or the `column` among them.
pub(crate) enum Columns {
    /// The chosen one.
    Found(String),
    /// It is not there, or none was chosen.
    Others(Vec<String>),
    /// It is there, and its pages are compressed in a way that is not read.
    Unread(&'static str),
}

/// A column that the user chose.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Chosen<'column> {
    Name(&'column str),
    /// From 1.
    Number(usize),
}

/// The chosen column of strings of `source`, or all that it has.
pub(crate) fn columns<S: Source>(
    source: &S,
    chosen: Option<Chosen<'_>>,
    limits: Limits,
) -> Result<Columns, ReadError<S::Error>> {
    let metadata = metadata(source, limits)?;
    let schema = metadata.file_metadata().schema_descr();
    let path = |column: &ColumnDescriptor| column.path().parts().join(".");
    let found = schema.columns().iter().enumerate().find(|(index, column)| {
        let is_chosen = match chosen {
            Some(Chosen::Name(name)) => path(column) == name,
            Some(Chosen::Number(number)) => index + 1 == number,
            None => false,
        };
        is_chosen && is_text(column)
    });
    Ok(match found {
        Some((index, column)) => {
            let groups = metadata.row_groups().iter();
            let mut chunks = groups.filter_map(|group| group.columns().get(index));
            match chunks.find_map(|chunk| unread(chunk.compression())) {
                Some(name) => Columns::Unread(name),
                None => Columns::Found(path(column)),
            }
        }
        None => {
            let texts = schema.columns().iter().filter(|column| is_text(column));
            Columns::Others(texts.map(|column| path(column)).collect())
        }
    })
}

/// Whether a column holds strings, one or none for each row. Old writers did not say that bytes are
/// strings.
fn is_text(column: &ColumnDescriptor) -> bool {
    let is_text = match (column.logical_type_ref(), column.converted_type()) {
        (Some(LogicalType::String | LogicalType::Enum | LogicalType::Json), _) => true,
        (Some(_), _) => false,
        (None, converted) => matches!(
            converted,
            ConvertedType::NONE | ConvertedType::UTF8 | ConvertedType::ENUM | ConvertedType::JSON
        ),
    };
    is_text && column.physical_type() == PhysicalType::BYTE_ARRAY && column.max_rep_level() == 0
}

/// The name of a compression that is not read: few writers use them, none by default.
fn unread(compression: Compression) -> Option<&'static str> {
    match compression {
        Compression::BROTLI(_) => Some("Brotli"),
        Compression::LZO => Some("LZO"),
        Compression::GZIP(_)
        | Compression::LZ4
        | Compression::LZ4_RAW
        | Compression::SNAPPY
        | Compression::UNCOMPRESSED
        | Compression::ZSTD(_) => None,
    }
}

fn metadata<S: Source>(source: &S, limits: Limits) -> Result<ParquetMetaData, ReadError<S::Error>> {
    let bytes = source.bytes();
    let damaged = |kind| ReadError::from(Damage { kind, offset: bytes, text_offset: 0 });
    let mut footer = [0; FOOTER_BYTES];
    let at =
        bytes.checked_sub(FOOTER_BYTES as u64).ok_or_else(|| damaged(DamageKind::Truncated))?;
    read_full(source, at, &mut footer).map_err(ReadError::Source)?;
    let [a, b, c, d, magic @ ..] = footer;
    let length = u64::from(u32::from_le_bytes([a, b, c, d]));
    if magic != *b"PAR1" {
        return Err(damaged(DamageKind::Truncated));
    }
    // The library's form of it takes about as much again.
    let max = limits.memory_bytes / 4;
    if length > max {
        return Err(damaged(DamageKind::Memory { max }));
    }
    let start = at.checked_sub(length).ok_or_else(|| damaged(DamageKind::Malformed))?;
    let mut encoded = vec![0; length as usize];
    read_full(source, start, &mut encoded).map_err(ReadError::Source)?;
    // Of damaged bytes the library may panic.
    let decoded = catch_unwind(|| ParquetMetaDataReader::decode_metadata(&encoded));
    decoded.ok().and_then(Result::ok).ok_or_else(|| damaged(DamageKind::Malformed))
}

/// The rows of the row groups that begin in a range of the file.
pub(crate) struct Parquet<S> {
    source: S,
    range: Range<u64>,
    /// Those that were not begun yet, the last first.
    groups: Vec<Group>,
    rows: u64,
    rows_read: u64,
    column: Column,
    current: Option<Current>,
    /// Text that was given.
    text_bytes: u64,
    bytes_max: u64,
}

/// What the library has to know of the column.
struct Column {
    descriptor: parquet::schema::types::ColumnDescPtr,
    definition_max: i16,
}

/// A row group.
#[derive(Clone, Debug)]
struct Group {
    rows: u64,
    pages: Range<u64>,
    compression: Compression,
}

/// A row group that is read.
struct Current {
    pages: Pages,
    queue: Queue,
    reader: ColumnReaderImpl<ByteArrayType>,
    rows_left: u64,
    batch: Batch,
}

/// Some rows.
#[derive(Default)]
struct Batch {
    levels: Vec<i16>,
    /// One for each row that is not null.
    values: Vec<ByteArray>,
    rows: usize,
    /// The next row and the next value.
    row: usize,
    value: usize,
    /// The text of the row was given, its end was not.
    is_open: bool,
}

impl<S: Source> Parquet<S> {
    /// `column` is the dotted path of a column of strings.
    pub(crate) fn new(
        source: S,
        column: &str,
        range: Range<u64>,
        limits: Limits,
    ) -> Result<Self, ReadError<S::Error>> {
        let metadata = metadata(&source, limits)?;
        let bytes = source.bytes();
        let damaged = |kind| ReadError::from(Damage { kind, offset: bytes, text_offset: 0 });
        let schema = metadata.file_metadata().schema_descr();
        let index = schema.columns().iter().position(|descriptor| {
            descriptor.path().parts().join(".") == column && is_text(descriptor)
        });
        let index = index.ok_or_else(|| damaged(DamageKind::NoColumn))?;
        let mut groups = Vec::new();
        for group in metadata.row_groups() {
            let (start, group) =
                row_group(group, index, bytes).ok_or_else(|| damaged(DamageKind::Malformed))?;
            if range.contains(&start) {
                groups.push(group);
            }
        }
        groups.reverse();
        let descriptor = schema.column(index);
        let definition_max = descriptor.max_def_level();
        Ok(Self {
            source,
            range,
            rows: groups.iter().map(|group| group.rows).fold(0, u64::saturating_add),
            groups,
            rows_read: 0,
            column: Column { descriptor, definition_max },
            current: None,
            text_bytes: 0,
            bytes_max: limits.memory_bytes / 4,
        })
    }

    fn begin(&self, group: Group) -> Current {
        let queue = Queue::default();
        let Group { pages: range, compression, .. } = group;
        let pages = Pages { range, compression, bytes_max: self.bytes_max, rows_max: ROWS_MAX };
        let descriptor = self.column.descriptor.clone();
        let reader = ColumnReaderImpl::new(descriptor, Box::new(queue.clone()));
        Current { pages, queue, reader, rows_left: group.rows, batch: Batch::default() }
    }

    fn damage(&self, kind: DamageKind, pages: &Pages) -> ReadError<S::Error> {
        let (offset, text_offset) = (pages.range.start, self.text_bytes);
        Damage { kind, offset, text_offset }.into()
    }

    /// Reads until there are rows; false at the end of the row group.
    fn fill(&self, current: &mut Current) -> Result<bool, ReadError<S::Error>> {
        while current.rows_left > 0 {
            let rows = current.rows_left.min(current.pages.rows_max) as usize;
            let filled = current.batch.fill(&mut current.reader, rows);
            let filled = filled.map_err(|kind| self.damage(kind, &current.pages))?;
            if filled {
                current.rows_left -= current.batch.rows as u64;
                return Ok(true);
            }
            match current.pages.next(&self.source) {
                Ok(Some(page)) => current.queue.push(page),
                // There are fewer rows than the row group has.
                Ok(None) => return Err(self.damage(DamageKind::Truncated, &current.pages)),
                Err(NoPage::Damaged(kind)) => return Err(self.damage(kind, &current.pages)),
                Err(NoPage::Source(error)) => return Err(ReadError::Source(error)),
            }
        }
        Ok(false)
    }

    /// Whether there is a row.
    fn advance(&mut self) -> Result<bool, ReadError<S::Error>> {
        loop {
            let mut current = match self.current.take() {
                Some(current) => current,
                None => match self.groups.pop() {
                    Some(group) => self.begin(group),
                    None => return Ok(false),
                },
            };
            let is_there = current.batch.row < current.batch.rows || self.fill(&mut current)?;
            if is_there {
                self.current = Some(current);
                return Ok(true);
            }
        }
    }
}

impl Batch {
    /// The next rows of the pages that the reader has; false if there are none.
    fn fill(
        &mut self,
        reader: &mut ColumnReaderImpl<ByteArrayType>,
        rows: usize,
    ) -> Result<bool, DamageKind> {
        *self = Self { levels: std::mem::take(&mut self.levels), ..Self::default() };
        self.levels.clear();
        let (levels, values) = (&mut self.levels, &mut self.values);
        // Of damaged levels the library takes a part of the page that is not there, and panics. The
        // reader is not used again.
        let read = catch_unwind(AssertUnwindSafe(|| {
            reader.read_records(rows, Some(levels), None, values)
        }));
        let (rows, _, _) = read.ok().and_then(Result::ok).ok_or(DamageKind::Malformed)?;
        self.rows = rows;
        Ok(rows > 0)
    }
}

impl<S: Source> Events for Parquet<S> {
    type Error = S::Error;

    fn next_event(&mut self) -> Result<Option<Event<'_>>, ReadError<S::Error>> {
        if !self.advance()? {
            return Ok(None);
        }
        let definition_max = self.column.definition_max;
        let Some(Current { batch, .. }) = &mut self.current else { return Ok(None) };
        let is_value = definition_max == 0
            || batch.levels.get(batch.row).is_some_and(|level| *level == definition_max);
        if is_value && !batch.is_open {
            batch.is_open = true;
            let Some(value) = batch.values.get(batch.value) else {
                let damage = Damage {
                    kind: DamageKind::Malformed,
                    offset: self.range.end,
                    text_offset: self.text_bytes,
                };
                return Err(damage.into());
            };
            batch.value += 1;
            if !value.is_empty() {
                self.text_bytes += value.len() as u64;
                return Ok(Some(Event::Text(value.data())));
            }
        }
        batch.is_open = false;
        batch.row += 1;
        self.rows_read += 1;
        Ok(Some(Event::EndOfDocument))
    }

    /// As if all rows were equally long in the file.
    fn bytes_read(&self) -> u64 {
        let bytes = u128::from(self.range.end - self.range.start);
        let is_over = self.rows_read == self.rows && self.rows > 0;
        let read = match is_over {
            true => bytes,
            false => bytes * u128::from(self.rows_read) / u128::from(self.rows.max(1)),
        };
        self.range.start + read as u64
    }
}

/// Where a row group begins, and its part of the column.
fn row_group(group: &RowGroupMetaData, column: usize, bytes: u64) -> Option<(u64, Group)> {
    let range = |index: usize| {
        let chunk = group.columns().get(index)?;
        let start = chunk.dictionary_page_offset().filter(|&offset| offset > 0);
        let start = start.map_or(chunk.data_page_offset(), |at| at.min(chunk.data_page_offset()));
        let start = u64::try_from(start).ok()?;
        let end = start.checked_add(u64::try_from(chunk.compressed_size()).ok()?)?;
        Some(start..end).filter(|range| range.end <= bytes)
    };
    let starts = (0..group.columns().len()).map(|index| range(index).map(|range| range.start));
    let start = starts.collect::<Option<Vec<_>>>()?.into_iter().min()?;
    let rows = u64::try_from(group.num_rows()).ok()?;
    let compression = group.columns().get(column)?.compression();
    Some((start, Group { rows, pages: range(column)?, compression }))
}

/// The length of the metadata, and the magic number.
const FOOTER_BYTES: usize = 8;

#[cfg(test)]
mod tests;
