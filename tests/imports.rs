//! The house rules that no compiler keeps: imports of `src` point one way, files stay short and say what they are for,
//! nothing is left undone and nothing panics. Sources are read as tokens along the module tree, so that comments,
//! strings and what is only compiled for tests don't count.

#![expect(clippy::unwrap_used, reason = "a test")]

use std::fs;
use std::path::{Path, PathBuf};

use proc_macro2::{Delimiter, TokenStream, TokenTree};

/// The modules of `src/lib.rs`. Each uses only what stands to its left; see [`may_use`] for the exceptions.
const ORDER: [&str; 15] = [
    "domain",
    "clock",
    "random",
    "telemetry",
    "config",
    "store",
    "oauth",
    "spotify",
    "tokens",
    "archive",
    "schedule",
    "control",
    "web",
    "daemon",
    "cli",
];

/// The most lines that a file has, tests aside.
const LIMIT: usize = 400;

/// Files that may be longer: the most lines, and why they stay in one piece.
const LONGER: [(&str, usize, &str); 0] = [];

/// What has no place outside tests: what isn't done, and what ends a task without an error that says why.
const UNWANTED: [&str; 4] = ["dbg", "panic", "todo", "unimplemented"];

/// Whether a top module may name another.
fn may_use(module: &str, used: &str) -> bool {
    let place = |name| ORDER.iter().position(|module| *module == name);
    match (module, used) {
        _ if module == used => true,
        // The simulation stands aside: the demo alone starts it, and it knows nothing of tokens.
        (_, "sim") => module == "cli",
        ("sim", _) => place(used).is_some_and(|used| Some(used) < place("tokens")),
        // What is stored doesn't depend on how it is configured.
        ("store", "config") => false,
        _ => place(used).is_some_and(|used| Some(used) < place(module)),
    }
}

/// A file of the library that is not only compiled for tests.
struct Source {
    /// From the project's folder, with `/`.
    path: String,
    /// Its module's names from the crate's root; none for `src/lib.rs`.
    module: Vec<String>,
    text: String,
    facts: Facts,
}

/// What a file's tokens say, without what is marked `#[cfg(test)]`.
#[derive(Debug, Default, PartialEq)]
struct Facts {
    /// `mod name;`, in order.
    modules: Vec<String>,
    /// `crate::NAME`, with its line.
    uses: Vec<(usize, String)>,
    /// `super::` up to the crate's root, by line.
    climbs: Vec<usize>,
    /// Macros of [`UNWANTED`], with their lines.
    unwanted: Vec<(usize, String)>,
    /// How many lines are marked `#[cfg(test)]`.
    test_lines: usize,
}

impl Facts {
    /// Reads one file; `depth` is how many modules lie between the crate's root and its code.
    fn of(text: &str, depth: usize) -> Self {
        let mut facts = Self::default();
        facts.read(text.parse().unwrap(), depth);
        facts
    }

    fn read(&mut self, stream: TokenStream, depth: usize) {
        let mut tokens: &[TokenTree] = &stream.into_iter().collect::<Vec<_>>();
        while let [first, rest @ ..] = tokens {
            let line = first.span().start().line;
            match (&*first.to_string(), rest) {
                ("#", [attribute, ..]) if is_cfg_test(attribute) => {
                    let item = 1 + length_of_item(rest);
                    self.test_lines += tokens[item - 1].span().end().line - line + 1;
                    tokens = &tokens[item..];
                    continue;
                }
                ("mod", [name, end, ..]) if end.to_string() == ";" => self.modules.push(name.to_string()),
                ("mod", [_, TokenTree::Group(body), after @ ..]) => {
                    self.read(body.stream(), depth + 1);
                    tokens = after;
                    continue;
                }
                ("crate", [a, b, used, ..]) if is_path(a, b) => {
                    self.uses.extend(first_names(used).into_iter().map(|name| (line, name)));
                }
                ("super", _) => {
                    let supers = tokens.chunks(3).take_while(|step| step[0].to_string() == "super").count();
                    if supers >= depth {
                        self.climbs.push(line);
                    }
                    tokens = tokens.get(3 * supers..).unwrap_or_default();
                    continue;
                }
                (name, [bang, ..]) if UNWANTED.contains(&name) && bang.to_string() == "!" => {
                    self.unwanted.push((line, name.to_owned()));
                }
                _ => {
                    if let TokenTree::Group(group) = first {
                        self.read(group.stream(), depth);
                    }
                }
            }
            tokens = rest;
        }
    }
}

fn is_cfg_test(attribute: &TokenTree) -> bool {
    let text: String = attribute.to_string().split_whitespace().collect();
    text == "[cfg(test)]" || text.starts_with("[cfg(all(test,")
}

/// From an attribute to the end of the item that it stands on.
fn length_of_item(tokens: &[TokenTree]) -> usize {
    let ends = |token: &TokenTree| match token {
        TokenTree::Group(group) => group.delimiter() == Delimiter::Brace,
        other => other.to_string() == ";",
    };
    tokens.iter().position(ends).map_or(tokens.len(), |end| end + 1)
}

fn is_path(a: &TokenTree, b: &TokenTree) -> bool {
    a.to_string() == ":" && b.to_string() == ":"
}

/// What follows `crate::`: one name, or the first name of each path in braces.
fn first_names(used: &TokenTree) -> Vec<String> {
    let TokenTree::Group(group) = used else { return vec![used.to_string()] };
    let tokens: Vec<TokenTree> = group.stream().into_iter().collect();
    let paths = tokens.split(|token| token.to_string() == ",");
    paths.filter_map(|path| path.first()).map(TokenTree::to_string).collect()
}

/// Every file that `src/lib.rs` leads to.
fn library() -> Vec<Source> {
    let mut sources = Vec::new();
    walk(Path::new("src/lib.rs"), Path::new("src"), Vec::new(), &mut sources);
    sources
}

fn walk(path: &Path, folder: &Path, module: Vec<String>, sources: &mut Vec<Source>) {
    let project = Path::new(env!("CARGO_MANIFEST_DIR"));
    let text = fs::read_to_string(project.join(path)).unwrap();
    let facts = Facts::of(&text, module.len());
    let children = facts.modules.clone();
    sources.push(Source { path: path.display().to_string(), module: module.clone(), text, facts });
    for child in children {
        let folder = folder.join(&child);
        let files: [PathBuf; 2] = [folder.with_extension("rs"), folder.join("mod.rs")];
        let file = files.iter().find(|file| project.join(file).exists());
        let file = file.unwrap_or_else(|| panic!("{} has no file for `mod {child};`", path.display()));
        walk(file, &folder, [&module[..], &[child]].concat(), sources);
    }
}

/// What is wrong with a file's imports.
fn wrong_imports(path: &str, module: &str, facts: &Facts) -> Vec<String> {
    let wrong = facts.uses.iter().filter(|(_, used)| !may_use(module, used));
    let mut faults: Vec<String> =
        wrong.map(|(line, used)| format!("{path}:{line}: `{module}` may not use `{used}`")).collect();
    faults.extend(
        facts.climbs.iter().map(|line| format!("{path}:{line}: `super` up to the root: say `crate`")),
    );
    faults
}

/// What is wrong with a file's length, given the files that may be longer.
fn wrong_length(path: &str, lines: usize, longer: &[(&str, usize, &str)]) -> Option<String> {
    let exception = longer.iter().find(|(file, ..)| *file == path);
    let limit = exception.map_or(LIMIT, |(_, limit, _)| *limit);
    match exception {
        _ if lines > limit => Some(format!("{path}: {lines} lines without tests, at most {limit}: split it")),
        Some(_) if lines <= LIMIT => Some(format!("{path}: {lines} lines: take it out of LONGER")),
        _ => None,
    }
}

#[track_caller]
fn none(faults: &[String]) {
    assert!(faults.is_empty(), "{} faults:\n{}", faults.len(), faults.join("\n"));
}

#[test]
fn imports_point_one_way() {
    let library = library();
    assert!(library.iter().any(|source| !source.facts.uses.is_empty()), "no import was read");
    let faults = library.iter().filter_map(|source| {
        let module = source.module.first()?;
        Some(wrong_imports(&source.path, module, &source.facts))
    });
    none(&faults.flatten().collect::<Vec<_>>());
}

#[test]
fn the_map_in_lib_rs_has_the_order_of_the_imports() {
    let map = &library()[0].facts.modules;
    let mapped: Vec<&str> = map.iter().map(String::as_str).filter(|module| *module != "sim").collect();
    let ordered: Vec<&str> = ORDER.into_iter().filter(|module| mapped.contains(module)).collect();
    assert_eq!(mapped, ordered, "src/lib.rs and ORDER in {} differ", file!());
}

#[test]
fn files_stay_short() {
    let library = library();
    let lines = |source: &Source| source.text.lines().count() - source.facts.test_lines;
    let faults = library.iter().filter_map(|source| wrong_length(&source.path, lines(source), &LONGER));
    none(&faults.collect::<Vec<_>>());
    for (file, ..) in LONGER {
        assert!(library.iter().any(|source| source.path == file), "{file} is gone: take it out of LONGER");
    }
}

#[test]
fn every_file_says_what_it_is_for() {
    let said = |source: &Source| source.text.lines().take_while(|line| line.starts_with("//!")).count();
    let faults = library().into_iter().filter(|source| !(1..=6).contains(&said(source)));
    none(
        &faults
            .map(|source| format!("{}: begin with 1 to 6 lines of `//!`", source.path))
            .collect::<Vec<_>>(),
    );
}

#[test]
fn nothing_is_left_undone_and_nothing_panics() {
    let faults = library().into_iter().flat_map(|Source { path, facts, .. }| {
        facts.unwanted.into_iter().map(move |(line, name)| format!("{path}:{line}: `{name}!`"))
    });
    none(&faults.collect::<Vec<_>>());
}

// The checks themselves, on made-up text.

#[test]
fn an_import_to_the_right_is_a_fault_and_one_to_the_left_is_not() {
    let faults = |module, text| wrong_imports("f", module, &Facts::of(text, 1)).len();
    assert_eq!(faults("store", "use crate::domain::User; use crate::store::X;"), 0);
    assert_eq!(faults("store", "use crate::oauth::Answer;"), 1);
    assert_eq!(faults("store", "use crate::config::Settings;"), 1);
    assert_eq!(faults("tokens", "fn f() -> crate::archive::Run { crate::tokens::g() }"), 1);
    assert_eq!(faults("tokens", "use crate::{archive::{A, B}, clock, schedule};"), 2);
    assert_eq!(faults("tokens", "use crate::nowhere::A;"), 1);
    assert_eq!(faults("tokens", "m! { pub(crate) use crate::cli; }"), 1);
}

#[test]
fn the_simulation_stands_aside() {
    assert!(may_use("cli", "sim") && may_use("sim", "clock") && may_use("sim", "random"));
    assert!(!may_use("daemon", "sim") && !may_use("tokens", "sim"));
    assert!(!may_use("sim", "tokens") && !may_use("sim", "control"));
}

#[test]
fn a_path_of_supers_up_to_the_root_is_a_fault() {
    assert_eq!(Facts::of("use super::config;", 1).climbs, [1]);
    assert_eq!(Facts::of("\nuse super::super::config;", 2).climbs, [2]);
    assert_eq!(Facts::of("use super::sibling; mod inner { use super::super::sibling; }", 2).climbs, []);
}

#[test]
fn comments_strings_and_tests_do_not_count() {
    let text = r##"//! crate::cli
/// [`crate::cli`]
const A: &str = "crate::cli todo!()"; // crate::cli
#[cfg(test)]
#[expect(dead_code)]
mod tests {
    use crate::cli;
    fn f() { todo!() }
}
#[cfg(test)]
mod more;
mod real;
"##;
    let expected = Facts { modules: vec!["real".to_owned()], test_lines: 8, ..Facts::default() };
    assert_eq!(Facts::of(text, 1), expected);
}

#[test]
fn an_unwanted_macro_is_seen_wherever_it_is() {
    let facts = Facts::of("fn f() {\n if dbg!(x) { todo!() }\n}", 1);
    assert_eq!(facts.unwanted, [(2, "dbg".to_owned()), (2, "todo".to_owned())]);
}

#[test]
fn an_exception_has_its_own_limit_and_goes_when_it_is_not_needed() {
    let longer = [("long.rs", 500, "a reason")];
    assert_eq!(wrong_length("any.rs", LIMIT, &longer), None);
    assert!(wrong_length("any.rs", LIMIT + 1, &longer).unwrap().contains("split it"));
    assert_eq!(wrong_length("long.rs", 500, &longer), None);
    assert!(wrong_length("long.rs", 501, &longer).unwrap().contains("at most 500"));
    assert!(wrong_length("long.rs", LIMIT, &longer).unwrap().contains("LONGER"));
}
