//! Counts: bytes to words to buckets, and words to counts.
//!
//! The two halves of a word count, and nothing else. A map attempt feeds the bytes of its splits to
//! a [`Tokenizer`] and writes what is pending in its [`Buckets`]; a reduce attempt feeds
//! intermediates to a [`Counter`] and writes the [`Sorted`] table with [`write_line`]. Bytes in,
//! bytes out: so one test can try every cut of every awkward text.
//!
//! Deliberately absent: files, tasks, async, threads, clocks, and randomness. With one exception:
//! the hash seed of a table is random, so that no text can be crafted whose words collide. The
//! output does not depend on it.
//!
//! The loop of a map attempt, for every split of its task:
//!
//! ```
//! use std::num::NonZeroU32;
//! use words::{Rules, Tokenizer};
//!
//! let (file, start, end) = (b"to be or not to be", 4_usize, 11);
//! let mut tokenizer = Tokenizer::new(Rules::default(), NonZeroU32::MIN);
//!
//! tokenizer.begin(&file[start.saturating_sub(Tokenizer::LOOKBEHIND)..start]);
//! for block in file[start..end].chunks(4) {
//!     tokenizer.feed(block);
//!     // Here the caller writes what is pending in large buckets, and clears it.
//! }
//! for block in file[end..].chunks(4) {
//!     if !tokenizer.feed_beyond(block) {
//!         break;
//!     }
//! }
//! tokenizer.end();
//!
//! // "be" began one byte before the split; "not" reaches one byte past its end.
//! assert_eq!(tokenizer.buckets().pending(0), b"or\nnot\n");
//! ```

mod arena;
mod bit_planes;
mod bucket;
mod char_set;
mod counter;
mod hash;
mod key;
mod line;
mod lines;
mod long;
mod lower_case;
mod masks;
mod merge;
mod partition;
mod place;
mod rules;
mod run;
mod short;
mod simd;
mod slots;
mod table;
mod tokenizer;
mod utf8;
mod walk;
mod window;

pub use bucket::{Buckets, bucket_of};
pub use counter::Counter;
pub use line::write_line;
pub use merge::{Merge, Run};
pub use rules::{Rules, WordRule};
pub use run::{ENTRY_HEAD_BYTES_MAX, Entry, read_entry, write_entry};
#[doc(hidden)]
pub use simd::Level;
pub use table::{Sorted, Table};
pub use tokenizer::Tokenizer;
