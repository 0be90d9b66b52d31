//! What the file of a split is: from the names of the wire to the types with which it is read.

use std::num::NonZeroU32;

use inputs::{Compression, Encoding, Field, Format, Records};
use rpc::Ability;
use rpc::message::{self, Failure, Split};

/// What [`of_split`] knows besides plain text.
pub(crate) fn abilities() -> impl Iterator<Item = Ability> {
    let reads_parquet = cfg!(feature = "parquet");
    Ability::ALL.into_iter().filter(move |one| reads_parquet || *one != Ability::Parquet)
}

/// # Errors
///
/// When this worker cannot read files of the format: that of a driver of a later version, or one
/// that is only on the wire so far.
pub(crate) fn of_split(split: &Split) -> Result<Format, Failure> {
    let message::Format { compression, encoding, records } = &split.format;
    let unknown = |detail: String| Failure::FormatUnknown { path: split.path.clone(), detail };
    let compression = match compression {
        None => Compression::None,
        Some(name) => {
            let found = Compression::ALL.into_iter().find(|known| known.name() == name);
            found.ok_or_else(|| unknown(format!("its compression is {name}")))?
        }
    };
    let encoding = match encoding {
        None => Encoding::UTF_8,
        Some(name) => {
            Encoding::of_label(name).ok_or_else(|| unknown(format!("its encoding is {name}")))?
        }
    };
    let records = match records {
        message::Records::WholeText => Records::None,
        message::Records::Csv { column, delimiter } => {
            let column = match column {
                message::Column::Name(name) => inputs::Column::Name(name.clone()),
                message::Column::Number(number) => {
                    let number = NonZeroU32::new(*number);
                    inputs::Column::Number(number.ok_or_else(|| unknown("column 0".to_owned()))?)
                }
            };
            Records::Csv { column, delimiter: *delimiter }
        }
        message::Records::JsonLines { field } => {
            let field = Field::parse(field).map_err(|error| unknown(error.to_string()))?;
            Records::JsonLines { field }
        }
        message::Records::Parquet { column } if cfg!(feature = "parquet") => {
            Records::Parquet { column: column.clone() }
        }
        message::Records::Parquet { .. } => return Err(unknown("it is Apache Parquet".to_owned())),
        message::Records::Wet => Records::Wet,
    };
    let format = Format { compression, encoding, records };
    let is_whole = split.start == 0 && split.end == split.file_bytes;
    match is_whole || format.is_cuttable() {
        true => Ok(format),
        false => Err(unknown(format!("the task names a part of it, and {format} has no parts"))),
    }
}
