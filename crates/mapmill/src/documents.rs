//! Completions and manual pages, generated from the flags.

use std::io;
use std::path::Path;

use clap::CommandFactory;

use crate::flags::{CompletionsFlags, Flags, ManFlags};
use crate::messages::{self, Failure, SystemError};

/// `mapmill completions`
pub(crate) fn completions(flags: &CompletionsFlags) -> Result<(), Failure> {
    let mut script = Vec::new();
    clap_complete::generate(flags.shell, &mut Flags::command(), "mapmill", &mut script);
    messages::data(&script)
}

/// `mapmill man`
pub(crate) fn man(flags: &ManFlags) -> Result<(), Failure> {
    match &flags.folder {
        Some(folder) => write_pages(folder).map_err(|error| {
            let operation = format!("write manual pages into {}", folder.display());
            Failure::start(SystemError::new(operation, error))
        }),
        None => {
            let mut page = Vec::new();
            // As in the page that is written to a folder: help has no page of its own.
            clap_mangen::Man::new(Flags::command().disable_help_subcommand(true))
                .render(&mut page)
                .expect("writing to memory cannot fail");
            messages::data(&page)
        }
    }
}

fn write_pages(folder: &Path) -> io::Result<()> {
    std::fs::create_dir_all(folder)?;
    clap_mangen::generate_to(Flags::command(), folder)
}
