//! Checks of a job before it begins. They change nothing on disk.

use std::io;
use std::path::{Path, PathBuf};

use journal::{Plan, PlannedInput};
use store::{Input, InputError, OwnerError, StoreError};

use super::copies::Copies;
use super::error::{StartError, unusable_input};
use crate::plan::largest_description;

pub(super) fn check_numbers(plan: &Plan, reduce_tasks: u32) -> Result<(), StartError> {
    use rpc::limits::{INTERMEDIATES_MAX, MAP_TASKS_MAX, REDUCE_TASKS_MAX, RESPONSE_BYTES_MAX};
    let map_tasks = plan.map_tasks().get();
    for (kind, given, max) in
        [("map", map_tasks, MAP_TASKS_MAX), ("reduce", reduce_tasks, REDUCE_TASKS_MAX)]
    {
        if given > max {
            return Err(StartError::TooManyTasks { kind, given, max });
        }
    }
    if u64::from(map_tasks) * u64::from(reduce_tasks) > INTERMEDIATES_MAX {
        return Err(StartError::TooManyIntermediates { map_tasks, reduce_tasks });
    }
    let (task, bytes) = largest_description(plan);
    if bytes > RESPONSE_BYTES_MAX {
        return Err(StartError::TaskTooLarge { task, bytes });
    }
    Ok(())
}

/// Resolves the links in the path of an input once: the job does not follow a link that changes
/// later.
pub(super) fn resolve_input(input: Input) -> Result<Input, StartError> {
    match std::fs::canonicalize(&input.path) {
        Ok(path) => Ok(Input { path, ..input }),
        Err(source) => Err(unusable_input(InputError::Unreadable { path: input.path, source })),
    }
}

/// The real path of a folder that may not exist yet.
pub(super) fn resolve_folder(files: &Path) -> Result<PathBuf, StartError> {
    let unusable = |source| {
        let path = files.to_owned();
        let error =
            StoreError::Refused { operation: store::Operation::Open, place: path.clone(), source };
        StartError::Files { path, source: error }
    };
    let mut real = std::path::absolute(files).map_err(unusable)?;
    let mut missing = Vec::new();
    loop {
        match std::fs::canonicalize(&real) {
            Ok(mut path) => {
                path.extend(missing.iter().rev());
                return Ok(path);
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound && real.file_name().is_some() => {
                missing.extend(real.file_name().map(ToOwned::to_owned));
                real.pop();
            }
            // A part of the path is a file.
            Err(error) if error.kind() == io::ErrorKind::NotADirectory => {
                let file = real.ancestors().find(|path| path.exists() && !path.is_dir());
                let file = file.map(|path| StartError::FilesIsAFile { path: path.to_owned() });
                return Err(file.unwrap_or_else(|| unusable(error)));
            }
            Err(error) => return Err(unusable(error)),
        }
    }
}

pub(super) fn inspect_files(
    files: &Path,
    inputs: &[PlannedInput],
    copies: &Copies,
) -> Result<store::Survey, StartError> {
    if files.exists() && !files.is_dir() {
        return Err(StartError::FilesIsAFile { path: files.to_owned() });
    }
    let mut inputs = inputs.iter().map(|planned| &planned.input);
    let is_inside = |path: &Path| path.starts_with(files) && !copies.include(path);
    if let Some(input) = inputs.find(|input| is_inside(&input.path)) {
        let (input, files) = (input.path.clone(), files.to_owned());
        return Err(StartError::InputInFiles { input, files });
    }
    store::require_ownership(files).map_err(|error| match error {
        OwnerError::Unreadable(source) => StartError::Files { path: files.to_owned(), source },
        OwnerError::Foreign { .. } | OwnerError::WorldWritable { .. } => {
            StartError::FilesNotOurs(error)
        }
    })?;
    let survey = store::survey(files)
        .map_err(|source| StartError::Files { path: files.to_owned(), source })?;
    match survey.foreign.as_slice() {
        [] => Ok(survey),
        [path, others @ ..] => {
            Err(StartError::Foreign { path: path.clone(), others: others.len() })
        }
    }
}
