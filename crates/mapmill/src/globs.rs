//! The globs of `--include` and `--exclude`, with the syntax of a line in a `.gitignore`.
//!
//! A library matches a glob with a path; this file has what git adds: where a glob applies, and
//! which of several decides.

use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use driver::Filter;
use fast_glob::glob_match;

use crate::shell::quoted;

/// One glob.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Glob {
    /// As the user has typed it.
    typed: String,
    /// Of a path relative to the folder that is walked.
    pattern: String,
    /// It begins with `!`: what matches is not selected.
    is_negated: bool,
    /// It ends with `/`: only folders match.
    is_of_folders: bool,
}

impl Glob {
    /// # Errors
    ///
    /// When it is empty, or a bracket or brace is not closed: why.
    pub(crate) fn parse(typed: &str) -> Result<Self, String> {
        let (is_negated, rest) = match typed.strip_prefix('!') {
            Some(rest) => (true, rest),
            None => (false, typed),
        };
        let (is_of_folders, rest) = match rest.strip_suffix('/') {
            Some(rest) => (true, rest),
            None => (false, rest),
        };
        // A slash in front or within binds the glob to the folder that is walked.
        let is_bound = rest.contains('/');
        let below = rest.strip_prefix('/').unwrap_or(rest);
        if below.is_empty() {
            return Err("expected a glob, such as '*.txt'".to_owned());
        }
        let pattern = if is_bound { below.to_owned() } else { format!("**/{below}") };
        // The typed one first: it has the index of the mistake.
        let is_valid = fast_glob::validate(typed).and_then(|()| fast_glob::validate(&pattern));
        is_valid.map_err(|error| error.to_string())?;
        Ok(Self { typed: typed.to_owned(), pattern, is_negated, is_of_folders })
    }

    fn matches(&self, path: &Path, is_folder: bool) -> bool {
        (is_folder || !self.is_of_folders) && glob_match(&self.pattern, path.as_os_str().as_bytes())
    }
}

/// Takes what a glob of `include` selects, or everything if there is none, apart from what a glob
/// of `exclude` selects. `None` if there are no globs at all.
pub(crate) fn filter(include: Vec<Glob>, exclude: Vec<Glob>) -> Option<Filter> {
    if include.is_empty() && exclude.is_empty() {
        return None;
    }
    let flags = |flag: &'static str, globs: &[Glob]| {
        globs.iter().map(|glob| format!("{flag} {}", quoted(&glob.typed))).collect::<Vec<_>>()
    };
    let shown = [flags("--include", &include), flags("--exclude", &exclude)].concat().join(" ");
    Some(Filter::new(shown, move |path, is_folder| takes((&include, &exclude), path, is_folder)))
}

/// A folder that is not excluded is always taken: there may be files to include in it.
fn takes((include, exclude): (&[Glob], &[Glob]), path: &Path, is_folder: bool) -> bool {
    let is_included = is_folder || include.is_empty() || selects(include, path, false);
    is_included && !selects(exclude, path, is_folder)
}

/// Whether `globs` select a path, or a folder that it is in. Of the globs that match one of them,
/// the last decides; if none matches, the folder above is asked.
fn selects(globs: &[Glob], path: &Path, is_folder: bool) -> bool {
    let way_up = path.ancestors().take_while(|path| !path.as_os_str().is_empty());
    let mut decided = way_up.enumerate().filter_map(|(above, path)| {
        let matches = |glob: &&Glob| glob.matches(path, above > 0 || is_folder);
        globs.iter().rev().find(matches).map(|glob| !glob.is_negated)
    });
    decided.next().unwrap_or(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The files of a tree that are taken, as a walk asks for them: no file in a folder that is not
    /// taken.
    #[track_caller]
    fn check(include: &[&str], exclude: &[&str], expected: &[&str]) {
        let parse = |globs: &[&str]| {
            let parsed = globs.iter().map(|glob| Glob::parse(glob));
            parsed.collect::<Result<Vec<_>, _>>().expect("the globs are valid")
        };
        let (include, exclude) = (parse(include), parse(exclude));
        let globs = (&include[..], &exclude[..]);
        let is_taken = |file: &&str| {
            let file = Path::new(file);
            let mut folders = file.ancestors().skip(1).filter(|path| !path.as_os_str().is_empty());
            folders.all(|folder| takes(globs, folder, true)) && takes(globs, file, false)
        };
        let taken: Vec<_> = TREE.into_iter().filter(is_taken).collect();
        assert_eq!(taken, expected);
    }

    const TREE: [&str; 6] = ["#a", "a.txt", "b.md", "old/a.txt", "old/deep/é.txt", "sub/old"];

    #[test]
    fn without_globs_everything_is_taken() {
        assert!(filter(Vec::new(), Vec::new()).is_none());
        check(&[], &[], &TREE);
    }

    #[test]
    fn glob_without_a_slash_applies_at_every_depth() {
        check(&["*.txt"], &[], &["a.txt", "old/a.txt", "old/deep/é.txt"]);
        check(&[], &["*.txt"], &["#a", "b.md", "sub/old"]);
        check(&["*.{txt,md}"], &["a.*"], &["b.md", "old/deep/é.txt"]);
        check(&["[a-b].*"], &[], &["a.txt", "b.md", "old/a.txt"]);
        check(&["#a"], &[], &["#a"]);
    }

    #[test]
    fn glob_with_a_slash_is_bound_to_the_folder_that_is_walked() {
        check(&["/*.txt"], &[], &["a.txt"]);
        check(&["old/*.txt"], &[], &["old/a.txt"]);
        check(&["old/**/*.txt"], &[], &["old/a.txt", "old/deep/é.txt"]);
        check(&["**/deep/*"], &[], &["old/deep/é.txt"]);
        check(&["deep/*"], &[], &[]);
    }

    #[test]
    fn folder_that_matches_stands_for_all_in_it() {
        check(&["old"], &[], &["old/a.txt", "old/deep/é.txt", "sub/old"]);
        check(&["old/"], &[], &["old/a.txt", "old/deep/é.txt"]);
        check(&[], &["old/"], &["#a", "a.txt", "b.md", "sub/old"]);
        check(&[], &["old/**"], &["#a", "a.txt", "b.md", "sub/old"]);
    }

    #[test]
    fn last_glob_that_matches_decides_and_exclude_outranks_include() {
        check(&["*.txt", "!a.txt"], &[], &["old/deep/é.txt"]);
        check(&["!a.txt", "*.txt"], &[], &["a.txt", "old/a.txt", "old/deep/é.txt"]);
        check(&["old/", "!a.txt"], &[], &["old/deep/é.txt"]);
        check(&[], &["*.txt", "!old/a.txt"], &["#a", "b.md", "old/a.txt", "sub/old"]);
        check(&["*.txt"], &["*.txt"], &[]);
    }

    #[test]
    fn glob_that_matches_nothing_by_mistake_is_refused() {
        for typed in ["", "/", "!", "!/"] {
            assert!(Glob::parse(typed).is_err(), "{typed:?}");
        }
        for (typed, part) in [("[a", "missing ']'"), ("a{b", "missing '}'"), ("a\\", "backslash")] {
            let error = Glob::parse(typed).expect_err("it is not closed");
            assert!(error.contains(part), "{error}");
        }
    }

    #[test]
    fn filter_is_shown_as_it_was_typed() {
        let parse = |glob| Glob::parse(glob).expect("the globs are valid");
        let filter = filter(vec![parse("*.txt"), parse("a")], vec![parse("!b/")]);
        let filter = filter.expect("there are globs");
        assert_eq!(filter.to_string(), "--include '*.txt' --include a --exclude '!b/'");
    }
}
