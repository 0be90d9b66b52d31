//! Splits that are not plain text: read document by document.

use inputs::{Event, Limits, ReadError, Source};
use rpc::message::{Failure, Split};
use store::{InputError, InputFile};

use super::{BLOCK_BYTES, MapAttempt};
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

impl MapAttempt<'_> {
    /// Reads a split that has a format. The end of a document ends a word.
    pub(super) fn read_documents(
        &mut self,
        input: &InputFile,
        split: &Split,
        index: u32,
    ) -> Result<(), Interrupted> {
        let format = format::of_split(split)?;
        let failure = |error| read_failure(error, split);
        let limits = Limits { memory_bytes: self.job.memory_bytes / 2 };
        let range = split.start..split.end;
        let mut events = inputs::open(InputSource(input), &format, range, limits);
        // Since the buckets were looked at.
        let (mut text_bytes, mut file_bytes) = (0, 0);
        let mut is_open = false;
        while let Some(event) = events.next_event().map_err(failure)? {
            match event {
                Event::BadRecord(record) if self.job.skip_bad_records => {
                    self.findings.skip_record(index, &record);
                }
                Event::BadRecord(record) => {
                    return Err(findings::bad_record(&record, events.bytes_read(), split).into());
                }
                Event::EndOfDocument => {
                    if is_open {
                        self.tokenizer.end();
                    }
                    is_open = false;
                    self.findings.end_document();
                }
                Event::Text(text) => {
                    if !is_open {
                        self.tokenizer.begin(&[]);
                    }
                    is_open = true;
                    self.tokenizer.feed(text);
                    text_bytes += text.len();
                }
            }
            let read = events.bytes_read() - file_bytes;
            if text_bytes >= BLOCK_BYTES || read >= BLOCK_BYTES as u64 {
                self.after_block(read)?;
                (text_bytes, file_bytes) = (0, events.bytes_read());
            }
        }
        self.after_block(events.bytes_read() - file_bytes)
    }
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
