//! Copies the inputs that can be read only once, for workers that read them from the shared folder.
//!
//! They are copied when the folder is claimed and the other inputs are checked: what can be refused
//! is refused before, because a pipe cannot be read again. The copies are in the claim. So they end
//! with this driver, however it ends: it removes them itself, or the next driver does, which
//! removes earlier claims before it does anything else. A job that reads one is never resumed.

use std::ops::ControlFlow;
use std::path::Path;
use std::time::Instant;

use store::{Input, InputCopy, Local, Stream};

use super::error::lost_error;
use super::{Checked, Config, StartError};
use crate::claim::{Hold, LOOK_EVERY, Waiting};

/// Inputs that were copied. They are removed when this value is dropped.
#[derive(Default)]
pub(crate) struct Copies {
    kept: Vec<InputCopy>,
    /// The same, as inputs, in the order of the arguments.
    pub(super) inputs: Vec<Input>,
}

impl Copies {
    /// Whether the file at `path` is one of them.
    pub(super) fn include(&self, path: &Path) -> bool {
        self.inputs.iter().any(|input| input.path == path)
    }
}

impl Checked {
    /// Copies the streams, if there are any, and checks the job anew: for its plan and its messages
    /// the copies are inputs like others, behind all others.
    pub(super) fn with_copies(
        self,
        config: &Config,
        store: &Local,
        hold: &Hold,
        waiting: &mut dyn FnMut(&Waiting) -> ControlFlow<()>,
    ) -> Result<Self, StartError> {
        if self.streams.is_empty() {
            return Ok(self);
        }
        self.compare(config, None)?;
        let mut copies = Copies::default();
        for (index, stream) in self.streams.iter().enumerate() {
            let mut copying = Copying { stream, files: &self.files, hold, waiting: &mut *waiting };
            let (copy, input) = copying.run(store, index)?;
            copies.kept.push(copy);
            copies.inputs.push(input);
        }
        Self::of(config, Vec::new(), copies)
    }
}

/// One stream that is copied.
struct Copying<'a> {
    stream: &'a Stream,
    files: &'a Path,
    hold: &'a Hold,
    waiting: &'a mut dyn FnMut(&Waiting) -> ControlFlow<()>,
}

impl Copying<'_> {
    /// Copies the stream to its end.
    fn run(&mut self, store: &Local, index: usize) -> Result<(InputCopy, Input), StartError> {
        let (input, files) = (self.input(), self.files.to_owned());
        let unwritten = |source| StartError::Copy { input: input.clone(), files, source };
        let unread = |source| StartError::Stream { input: input.clone(), source };
        let mut stream = self.stream.open().map_err(unread)?;
        let name = self.stream.name();
        let mut copy = match store.copy_input(self.hold.epoch(), index, name) {
            Ok(copy) => copy,
            Err(source) => return Err(unwritten(source)),
        };
        let (mut block, mut bytes) = (vec![0; BLOCK_BYTES], 0);
        self.tell(bytes, false)?;
        let mut told = Instant::now();
        loop {
            let read = stream.read(&mut block, LOOK_EVERY).map_err(unread)?;
            if read.is_none() || told.elapsed() >= LOOK_EVERY {
                self.tell(bytes, false)?;
                told = Instant::now();
            }
            match read {
                None => {}
                Some(0) => break,
                Some(length) => match copy.append(&block[..length]) {
                    Ok(()) => bytes += length as u64,
                    Err(source) => return Err(unwritten(source)),
                },
            }
        }
        match copy.finish() {
            Ok(input) => {
                self.tell(bytes, true)?;
                Ok((copy, input))
            }
            Err(source) => Err(unwritten(source)),
        }
    }

    /// Reports how much is copied, and finds out whether to continue.
    fn tell(&mut self, bytes: u64, is_complete: bool) -> Result<(), StartError> {
        self.hold.is_lost().map_err(|lost| lost_error(lost, self.files))?;
        let (input, files) = (self.input(), self.files.to_owned());
        let told = Waiting::Copy { input, files, bytes, is_complete };
        match (self.waiting)(&told) {
            ControlFlow::Continue(()) => Ok(()),
            ControlFlow::Break(()) => Err(StartError::Stopped),
        }
    }

    fn input(&self) -> String {
        self.stream.name().display().to_string()
    }
}

/// A full pipe has 64 KiB, unless its writer has enlarged it; up to 1 MiB is usual then.
const BLOCK_BYTES: usize = 1024 * 1024;
