//! What to do with an input that is not text: the command that makes text of it, or the flag that
//! says what it is.

use std::path::Path;

use driver::NotText;

use crate::shell::quoted;

/// For the file at `path`, which is not absolute if it is a copy of standard input or of a FIFO.
pub(super) fn way_out(path: &Path, why: &NotText) -> String {
    let file = if path.is_absolute() { quoted(path) } else { "FILE".to_owned() };
    match why {
        NotText::Binary { extension, .. } => match into_text(extension, &file) {
            Some(command) => {
                let built = match *extension == "parquet" && !cfg!(feature = "parquet") {
                    true => "build with `--features parquet` and give --column, or ",
                    false => "",
                };
                format!(
                    "{built}count its text with `{command}`, {}, or {AS_IT_IS}",
                    leave_out(path)
                )
            }
            None => format!("{}, or {AS_IT_IS}", leave_out(path)),
        },
        NotText::Compressed { outer, .. } => {
            format!("decompress it once: `{} -dc {file} | mapmill run -`", outer.name())
        }
        NotText::ColumnWanted { columns } => {
            let column = columns.iter().find(|column| *column == "text").or(columns.first());
            match column {
                Some(column) => format!("choose one, such as `--column {}`", quoted(column)),
                None => leave_out(path),
            }
        }
        NotText::Damaged { .. } => {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            format!("restore it, or leave it out with `--exclude {}`", quoted(name))
        }
        NotText::FieldWanted { fields } => {
            let field = fields.iter().find(|field| *field == "text").or(fields.first());
            let field = quoted(field.map_or("text", String::as_str));
            format!("choose one, such as `--field {field}`, or {AS_IT_IS}")
        }
        NotText::Invalid { .. } => {
            format!("say how it is encoded, such as `--encoding windows-1252`, or {AS_IT_IS}")
        }
        NotText::Misnamed { .. } => format!("rename it, or {AS_IT_IS}"),
        NotText::NoField { .. } => {
            "choose one of its fields with --field, or say that it may be missing with \
             `--format jsonl`"
                .to_owned()
        }
        NotText::NoObjects => {
            format!(
                "leave out --field, {}, or read it all the same with `--format jsonl`",
                leave_out(path)
            )
        }
        NotText::NoColumn { .. } => "choose one of its columns with --column".to_owned(),
        NotText::Pages { .. } => {
            format!("write it again with zstd or snappy, or {}", leave_out(path))
        }
        NotText::Nul { .. } => format!("{}, or {AS_IT_IS}", leave_out(path)),
        NotText::Unmarked { encoding } => {
            let (name, lower) = (encoding.name(), encoding.name().to_ascii_lowercase());
            format!(
                "count it with `--encoding {lower}` or `iconv -f {name} -t UTF-8 {file} | mapmill run -`"
            )
        }
        NotText::Warc => format!("use the WET file of the same pages, or {AS_IT_IS}"),
    }
}

/// The flag that leaves out such files, by how their names end.
fn leave_out(path: &Path) -> String {
    let inner = path.file_stem().map(Path::new).and_then(Path::extension);
    let glob = match path.extension() {
        // Of `tar.gz`, not of all that is compressed.
        Some(extension) if inner.is_some_and(|inner| inner == "tar") => {
            format!("*.tar.{}", extension.to_string_lossy())
        }
        Some(extension) => format!("*.{}", extension.to_string_lossy()),
        None => path.file_name().unwrap_or_default().to_string_lossy().into_owned(),
    };
    format!("leave such files out with `--exclude {}`", quoted(glob))
}

/// The command that writes the text of a file of this kind to a job.
fn into_text(extension: &str, file: &str) -> Option<String> {
    let extract = match extension {
        "7z" => format!("7z x -so {file}"),
        "docx" | "epub" | "jar" | "odp" | "ods" | "odt" | "pptx" | "xlsx" | "zip" => {
            format!("unzip -p {file}")
        }
        "parquet" => {
            let query = format!("COPY (FROM {}) TO '/dev/stdout' (FORMAT json)", sql(file));
            format!("duckdb -c {}", quoted(query))
        }
        "legacy lz4" => format!("lz4 -dc {file}"),
        "pdf" => format!("pdftotext {file} -"),
        "rar" => format!("unrar p -inul {file}"),
        "tar" => format!("tar -xOf {file}"),
        _ => return None,
    };
    let flags = if extension == "parquet" { " --field text" } else { "" };
    Some(format!("{extract} | mapmill run -{flags}"))
}

/// A word of a shell as a string of SQL.
fn sql(file: &str) -> String {
    format!("'{}'", file.trim_matches('\'').replace('\'', "''"))
}

const AS_IT_IS: &str = "count its bytes as they are with `--format text`";
