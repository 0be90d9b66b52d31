//! Which files of a walked folder are inputs.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

/// Decides which files and folders inside an argument are inputs. An argument itself is always
/// taken.
#[derive(Clone)]
pub struct Filter {
    takes: Arc<Takes>,
    shown: String,
}

/// By the path below the argument, and whether it is a folder.
type Takes = dyn Fn(&Path, bool) -> bool + Send + Sync;

impl Filter {
    /// `takes` is asked about each entry, by its path relative to the argument, and whether it is a
    /// folder: one that is not taken is not entered. `shown` is how messages refer to the filter.
    pub fn new(shown: String, takes: impl Fn(&Path, bool) -> bool + Send + Sync + 'static) -> Self {
        Self { takes: Arc::new(takes), shown }
    }

    pub(super) fn takes(&self, below: &Path, is_folder: bool) -> bool {
        (self.takes)(below, is_folder)
    }
}

impl fmt::Display for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown)
    }
}

impl fmt::Debug for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Filter({})", self.shown)
    }
}
