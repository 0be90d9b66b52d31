//! The command line: what may be typed, what is refused and how, and what is printed.

mod cli {
    mod certs;
    mod claims;
    mod clean;
    mod export;
    mod files;
    mod flags;
    mod formats;
    mod globs;
    mod help;
    mod inputs;
    mod names;
    mod network;
    mod output;
    mod scratch;
    mod security;
    mod signals;
    mod status;
    mod streams;
    mod terminal;
    mod tls;
    mod top;
    mod verify;
    mod why;
}
mod util;
