//! Runs the benchmarks of the hot loops with cargo, and makes a table of their output.

use std::env;
use std::io;
use std::mem;
use std::process::Command;

use bench::{say, top};

use crate::process::output;
use crate::table::markdown;

/// A line for each loop and each text.
pub(crate) fn loops() -> io::Result<String> {
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    say::note("the hot loops alone");
    let printed =
        output(Command::new(cargo).args(["bench", "--package", "bench"]).current_dir(top()))?;
    table(&printed).ok_or_else(|| io::Error::other(format!("no times of loops in:\n{printed}")))
}

/// divan draws a tree with the loops as its branches and the texts as their leaves. A leaf has a
/// line of times, the fastest, the slowest and the median first, and below it one of speeds.
fn table(printed: &str) -> Option<String> {
    let mut rows = vec![["", "median", "fastest", "speed"].map(str::to_owned).to_vec()];
    let mut branch = String::new();
    let mut leaf = Vec::new();
    for line in printed.lines() {
        let is_leaf = !line.starts_with(['├', '╰']);
        let columns = line.trim_start_matches(['│', '├', '╰', '─', ' ']);
        let columns: Vec<&str> = columns.split('│').map(str::trim).collect();
        let [first, _slowest, median, ..] = columns[..] else { continue };
        if let Some((name, fastest)) = first.split_once("  ") {
            let name = if is_leaf { format!("{branch}: {name}") } else { name.to_owned() };
            leaf = [name, median.to_owned(), fastest.trim().to_owned()].to_vec();
        } else if first.ends_with("/s") {
            leaf.push(median.to_owned());
            rows.push(mem::take(&mut leaf));
        } else {
            branch = first.to_owned();
        }
    }
    // The first line of all, the names of the columns, looks like a leaf without speeds.
    (rows.len() > 1).then(|| markdown(&rows))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_divan_prints_becomes_a_table() {
        let printed = "\
Timer precision: 20 ns
loops                     fastest       │ slowest       │ median        │ mean     │ samples │ iters
├─ map                                  │               │               │          │         │
│  ├─ prose, AVX-512      5.733 ms      │ 6.146 ms      │ 5.879 ms      │ 5.891 ms │ 20      │ 20
│  │                      2.925 GB/s    │ 2.729 GB/s    │ 2.853 GB/s    │ 2.8 GB/s │         │
│  ╰─ MAPMILL_TEXT        4.042 ms      │ 4.289 ms      │ 4.131 ms      │ 4.136 ms │ 20      │ 20
│                         4.15 GB/s     │ 3.911 GB/s    │ 4.061 GB/s    │ 4.0 GB/s │         │
├─ beyond                 398.9 ms      │ 535.3 ms      │ 441.9 ms      │ 448.9 ms │ 20      │ 20
│                         336.4 MB/s    │ 250.6 MB/s    │ 303.6 MB/s    │ 298 MB/s │         │
╰─ write                                │               │               │          │         │
   ╰─ wide                2.057 ms      │ 6.316 ms      │ 2.238 ms      │ 2.721 ms │ 20      │ 20
                          596 MB/s      │ 194.1 MB/s    │ 547.9 MB/s    │ 450 MB/s │         │
";
        let wanted = "\
|                     |   median |  fastest |      speed |
|---------------------|---------:|---------:|-----------:|
| map: prose, AVX-512 | 5.879 ms | 5.733 ms | 2.853 GB/s |
| map: MAPMILL_TEXT   | 4.131 ms | 4.042 ms | 4.061 GB/s |
| beyond              | 441.9 ms | 398.9 ms | 303.6 MB/s |
| write: wide         | 2.238 ms | 2.057 ms | 547.9 MB/s |
";
        assert_eq!(table(printed).as_deref(), Some(wanted));
        assert_eq!(table("Timer precision: 20 ns\n"), None);
    }
}
