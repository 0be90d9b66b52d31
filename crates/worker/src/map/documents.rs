//! Splits that are not plain text: read document by document.
//!
//! Decompressing takes longer than counting, and both take a core: a thread of its own reads ahead,
//! by a few batches, while the attempt's thread counts.

use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

use inputs::{BadRecord, Event, Limits, ReadError, Reading, Source};
use rpc::message::{Failure, Split};
use store::{InputError, InputFile};

use super::MapAttempt;
use crate::failure::{Interrupted, input_failure};
use crate::findings;
use crate::format;

/// An input, as its decoders read it.
struct InputSource<'input>(&'input InputFile);

impl Source for InputSource<'_> {
    type Error = InputError;

    fn bytes(&self) -> u64 {
        self.0.bytes()
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<usize, InputError> {
        self.0.read_at(offset, buffer)
    }
}

/// Some text of a split, and what ends in it.
#[derive(Default)]
struct Batch {
    text: Vec<u8>,
    /// Where something ends in the text, in order.
    marks: Vec<(usize, Mark)>,
    /// How much of the file was read for it.
    file_bytes: u64,
    /// How much was read before it ended.
    bytes_read: u64,
}

enum Mark {
    BadRecord(BadRecord),
    /// What ends here is text in front of the split.
    Before,
    EndOfDocument,
    EndOfShare,
}

/// How the tokenizer stands to the text that comes next.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Place {
    /// It begins a document.
    Start,
    /// It continues one.
    Inside,
    /// It is behind the split: only a word that has begun continues.
    Behind,
}

impl MapAttempt<'_> {
    /// Reads a split that has a format. The end of a document ends a word.
    pub(super) fn read_documents(
        &mut self,
        input: &InputFile,
        split: &Split,
        index: u32,
    ) -> Result<(), Interrupted> {
        let format = format::of_split(split)?;
        let limits = Limits { memory_bytes: self.job.memory_bytes / 2 };
        let range = split.start..split.end;
        let events = inputs::open(InputSource(input), &format, range, limits);
        let events = events.map_err(|error| read_failure(error, split))?;
        thread::scope(|scope| {
            let (send, receive) = sync_channel(BATCHES_AHEAD);
            let (give_back, returned) = sync_channel(BATCHES_AHEAD);
            let reader = thread::Builder::new().name("reader".to_owned());
            let spawned = reader.spawn_scoped(scope, move || read_ahead(events, &send, &returned));
            spawned.map_err(|error| no_thread(&error, split))?;
            let mut place = Place::Start;
            for batch in receive {
                let mut batch = batch.map_err(|error| read_failure(error, split))?;
                let is_done = self.count(&batch, &mut place, split, index)?;
                let file_bytes = if place == Place::Behind { 0 } else { batch.file_bytes };
                self.after_block(file_bytes)?;
                if is_done {
                    break;
                }
                batch.text.clear();
                batch.marks.clear();
                // The reader makes a new one if none comes back, and needs none at its end.
                let _ = give_back.try_send(batch);
            }
            if place == Place::Behind {
                self.tokenizer.end();
            }
            Ok(())
        })
    }

    /// Returns whether nothing that follows is of this split.
    fn count(
        &mut self,
        batch: &Batch,
        place: &mut Place,
        split: &Split,
        index: u32,
    ) -> Result<bool, Interrupted> {
        let mut begin = 0;
        for (end, mark) in &batch.marks {
            let text = &batch.text[begin..*end];
            begin = *end;
            if let Mark::Before = mark {
                self.tokenizer.begin(text);
                *place = Place::Inside;
                continue;
            }
            self.feed(text, place);
            match mark {
                Mark::Before => {}
                Mark::BadRecord(record) if self.job.skip_bad_records => {
                    self.findings.skip_record(index, record);
                }
                Mark::BadRecord(record) => {
                    return Err(findings::bad_record(record, batch.bytes_read, split).into());
                }
                Mark::EndOfDocument => {
                    if *place == Place::Inside {
                        self.tokenizer.end();
                    }
                    *place = Place::Start;
                    self.findings.end_document();
                }
                Mark::EndOfShare => {
                    if *place == Place::Start {
                        self.tokenizer.begin(&[]);
                    }
                    *place = Place::Behind;
                    // A document belongs to the split in which it begins.
                    if split.start == 0 {
                        self.findings.end_document();
                    }
                }
            }
        }
        self.feed(&batch.text[begin..], place);
        Ok(*place == Place::Behind && !self.tokenizer.feed_beyond(&[]))
    }

    fn feed(&mut self, text: &[u8], place: &mut Place) {
        if text.is_empty() {
            return;
        }
        match *place {
            Place::Start => self.tokenizer.begin(&[]),
            Place::Inside => {}
            Place::Behind => {
                self.tokenizer.feed_beyond(text);
                return;
            }
        }
        *place = Place::Inside;
        self.tokenizer.feed(text);
    }
}

/// Reads until the end, an error, or until nothing is received any more.
fn read_ahead(
    mut events: Reading<'_, InputError>,
    send: &SyncSender<Result<Batch, ReadError<InputError>>>,
    returned: &Receiver<Batch>,
) {
    // A part of a file begins where it is.
    let mut bytes_read = events.bytes_read();
    loop {
        let mut batch = returned.try_recv().unwrap_or_default();
        let filled = fill(&mut events, &mut batch);
        batch.file_bytes = events.bytes_read() - bytes_read;
        bytes_read = events.bytes_read();
        batch.bytes_read = bytes_read;
        // What came before an error may hold a bad record, which is named first.
        let is_received = send.send(Ok(batch)).is_ok();
        match filled {
            Ok(true) if is_received => {}
            Ok(_) => return,
            Err(error) => {
                let _ = send.send(Err(error));
                return;
            }
        }
    }
}

/// False at the end of the split.
fn fill(
    events: &mut Reading<'_, InputError>,
    batch: &mut Batch,
) -> Result<bool, ReadError<InputError>> {
    while batch.text.len() < BATCH_BYTES && batch.marks.len() < BATCH_MARKS {
        let mark = match events.next_event()? {
            None => return Ok(false),
            Some(Event::BadRecord(record)) => Mark::BadRecord(record),
            Some(Event::Before(text)) => {
                batch.text.extend_from_slice(text);
                Mark::Before
            }
            Some(Event::EndOfDocument) => Mark::EndOfDocument,
            Some(Event::EndOfShare) => Mark::EndOfShare,
            Some(Event::Text(text)) => {
                batch.text.extend_from_slice(text);
                continue;
            }
        };
        batch.marks.push((batch.text.len(), mark));
    }
    Ok(true)
}

fn read_failure(error: ReadError<InputError>, split: &Split) -> Failure {
    match error {
        ReadError::Damaged(damage) => Failure::InputDamaged {
            path: split.path.clone(),
            offset: damage.offset,
            text_offset: damage.text_offset,
            record: None,
            detail: damage.kind.to_string(),
        },
        ReadError::Source(error) => input_failure(error),
    }
}

fn no_thread(error: &std::io::Error, split: &Split) -> Failure {
    Failure::InputUnreadable {
        path: split.path.clone(),
        operation: "start a thread for".to_owned(),
        os_error: error.raw_os_error().unwrap_or(0),
        detail: error.to_string(),
        users: None,
    }
}

/// How far the reader may be ahead.
const BATCHES_AHEAD: usize = 3;

/// Text that is read at once, about. Two of them fit into a second-level cache, and the threads
/// wait for each other half as often as with 128 KiB: JSON lines and Zstandard take 4 % less time.
const BATCH_BYTES: usize = 256 << 10;

/// So that a batch of empty documents ends.
const BATCH_MARKS: usize = 4 << 10;
