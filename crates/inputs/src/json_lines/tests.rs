//! JSON lines against `serde_json`, in blocks of every size, cut everywhere.

use proptest::prelude::*;
use serde_json::Value;

use super::*;
use crate::input::Input;
use crate::testing::{Document as Line, Drip, read_all};

fn read_part(
    text: &[u8],
    field: &str,
    range: Range<u64>,
    step: usize,
) -> Result<Vec<Line>, DamageKind> {
    let start = range.start.saturating_sub(LOOKBEHIND);
    let input = Input::new(Drip { bytes: text, step }, start);
    let events = JsonLines::new(input, &Field::parse(field).unwrap(), &range);
    read_all(events)
}

fn read(text: &[u8], field: &str) -> Vec<Line> {
    let range = 0..text.len() as u64;
    let lines = read_part(text, field, range.clone(), usize::MAX).unwrap();
    for step in [1, 2, 3, 7] {
        assert_eq!(read_part(text, field, range.clone(), step).as_ref(), Ok(&lines), "{step}");
    }
    lines
}

/// Of one good record.
#[track_caller]
fn check(record: &str, expected: &str) {
    assert_eq!(read(record.as_bytes(), "a.b"), [Line::Text(expected.into())], "{record}");
}

#[track_caller]
fn check_bad(record: &[u8], problem: Problem) {
    let bad = |offset, line| BadRecord { offset, number: Some(line), problem };
    let shown = String::from_utf8_lossy(record);
    assert_eq!(read(record, "a.b"), [Line::Bad(bad(0, 1))], "{shown}");
    if problem == Problem::Unfinished {
        return;
    }
    // What follows is read.
    let good: &[u8] = b"{\"a\":{\"b\":\"x\"}}\n";
    let file = [good, record, b"\n", good].concat();
    let x = Line::Text(b"x".to_vec());
    let expected = [x.clone(), Line::Bad(bad(good.len() as u64, 2)), x];
    assert_eq!(read(&file, "a.b"), expected, "{shown}");
}

#[test]
fn field_is_found_wherever_it_is() {
    check(r#"{"a":{"b":"x"}}"#, "x");
    check("\t { \"c\" : [ { \"b\" : 1 } , [ ] ] , \"a\" : { \"b\" : \"x y\" } } \r", "x y");
    check(r#"{"a":{"c":{"b":"no"},"b":"yes","b2":"no"},"b":"no"}"#, "yes");
    check(r#"{"a":{"bb":"no","B":"no","":"no"}}"#, "");
    check(r#"{"\u0061":{"\u0062":"x"}}"#, "x");
    check(r#"{"x":[{"a":{"b":"no"}}]}"#, "");
    check(r#"{"x":[true,false,null,-0,1.5,10e5,0.1E-2,{}],"a":{"b":"x"}}"#, "x");
}

#[test]
fn missing_and_null_fields_are_empty_documents() {
    for record in [
        "{}",
        r#"{"a":null}"#,
        r#"{"a":{}}"#,
        r#"{"a":{"b":null}}"#,
        r#"{"a":{"b":""}}"#,
        r#"{"a":"text"}"#,
        r#"{"a":[{"b":"x"}]}"#,
    ] {
        check(record, "");
    }
}

#[test]
fn last_of_equal_keys_counts() {
    check(r#"{"a":{"b":"1"},"a":{"b":"2"}}"#, "2");
    check(r#"{"a":{"b":"1","b":"2"}}"#, "2");
    check(r#"{"a":{"b":"1"},"a":{}}"#, "");
    check(r#"{"a":{"b":"1"},"a":5}"#, "");
    check(r#"{"a":{"b":1,"b":"x"}}"#, "x");
    check(r#"{"a":{"b":"x","b":null}}"#, "");
    check_bad(br#"{"a":{"b":"x","b":1}}"#, Problem::WrongType);
}

#[test]
fn escapes_are_decoded() {
    check(r#"{"a":{"b":"\"\\\/\b\f\n\r\t"}}"#, "\"\\/\u{8}\u{c}\n\r\t");
    check(r#"{"a":{"b":"\u00e9\u4E2d\ud83e\udd80x"}}"#, "é中🦀x");
    let lone = [
        (r#"\ud83e"#, &b"\xFF"[..]),
        (r#"\ud83ex"#, b"\xFFx"),
        (r#"\ud83e\n"#, b"\xFF\n"),
        (r#"\ud83e\ud83e\udd80"#, "\u{1F980}".as_bytes()),
        (r#"\udd80"#, b"\xFF"),
        (r#"\udd80\ud83e"#, b"\xFF\xFF"),
        (r#"\ud83e\u0061"#, b"\xFFa"),
    ];
    for (escape, expected) in lone {
        let record = format!(r#"{{"a":{{"b":"{escape}"}}}}"#);
        let expected = match escape.len() {
            18 => [b"\xFF", expected].concat(),
            _ => expected.to_vec(),
        };
        assert_eq!(read(record.as_bytes(), "a.b"), [Line::Text(expected)], "{escape}");
    }
    // Bytes that are no UTF-8 are given as they are.
    let record = b"{\"a\":{\"b\":\"x\xFFy\"},\"\xFF\":1}";
    assert_eq!(read(record, "a.b"), [Line::Text(b"x\xFFy".to_vec())]);
}

#[test]
fn records_that_are_no_json_objects_are_bad() {
    for record in ["x", "[]", "[{\"a\":1}]", "\"a\"", "1", "null", "\u{FEFF}{}x"] {
        let expected = if record.ends_with("{}x") { Problem::Syntax } else { Problem::NoObject };
        assert!(
            matches!(&read(record.as_bytes(), "a")[..],
            [Line::Bad(BadRecord { problem, .. })] if *problem == expected),
            "{record}"
        );
    }
    for record in [
        &br#"{"a"}"#[..],
        br#"{"a":}"#,
        br#"{"a":1,}"#,
        br#"{,}"#,
        br#"{a:1}"#,
        br#"{'a':1}"#,
        br#"{"a":1]"#,
        br#"{"a":[1}"#,
        br#"{"a":[1,]}"#,
        br#"{"a":1}}"#,
        br#"{"a":1}{"#,
        br#"{"a":1} x"#,
        br#"{"a" 1}"#,
        br#"{"a":01}"#,
        br#"{"a":+1}"#,
        br#"{"a":1.}"#,
        br#"{"a":.5}"#,
        br#"{"a":1e}"#,
        br#"{"a":-}"#,
        br#"{"a":NaN}"#,
        br#"{"a":tru}"#,
        br#"{"a":nulll}"#,
        br#"{"a":"\x"}"#,
        br#"{"a":"\u12g4"}"#,
        b"{\"a\":\"\t\"}",
        b"{\"a\":\"\0\"}",
        b"{\"a\":1}\xC2\xA0",
        b"{\"a\":\"x",
        b"{\"a\":\"x\\",
        b"{\"a\":",
        b"{",
    ] {
        let alone = read(record, "a.b");
        let shown = String::from_utf8_lossy(record);
        assert!(matches!(&alone[..], [Line::Bad(_)]), "{shown}: {alone:?}");
        let file = [record, b"\n{\"a\":{\"b\":\"x\"}}"].concat();
        let lines = read(&file, "a.b");
        assert!(
            matches!(&lines[..], [Line::Bad(bad), Line::Text(text)]
                if bad.problem == Problem::Syntax && text == b"x"),
            "{shown}: {lines:?}"
        );
    }
    for value in ["1", "true", "[\"x\"]", "{\"b\":\"x\"}"] {
        check_bad(format!(r#"{{"a":{{"b":{value}}}}}"#).as_bytes(), Problem::WrongType);
    }
    check_bad(br#"{"a":{"b":"x""#, Problem::Unfinished);
}

#[test]
fn nesting_has_a_limit() {
    let nested =
        |depth: usize| format!("{{\"c\":{}{}}}", "[".repeat(depth - 1), "]".repeat(depth - 1));
    check(&nested(128), "");
    check_bad(nested(129).as_bytes(), Problem::TooDeep);
    check_bad("{\"c\":".repeat(1_000_000).as_bytes(), Problem::TooDeep);
}

#[test]
fn empty_lines_are_no_records_and_lines_are_counted() {
    let file = b"\xEF\xBB\xBF{\"a\":{\"b\":\"1\"}}\r\n\n  \r\n{\"a\":{\"b\":\"2\"}}\nx\n\n";
    let bad = BadRecord { offset: 41, number: Some(5), problem: Problem::NoObject };
    let text = |text: &str| Line::Text(text.into());
    assert_eq!(read(file, "a.b"), [text("1"), text("2"), Line::Bad(bad)]);
    assert_eq!(read(b"", "a"), []);
    assert_eq!(read(b"\n\n", "a"), []);
    assert_eq!(read(b"\xEF\xBB\xBF", "a"), []);
    assert!(matches!(&read(b"\xEF\xBB{}", "a")[..], [Line::Bad(_)]));
}

/// The words of a large record are given before its end is seen; what turns out to be bad then is
/// an error.
#[test]
fn record_larger_than_is_held_is_given_in_parts() {
    let large = "x".repeat(3 * scanner::PAUSE_BYTES + 5);
    let record = |tail: &str| format!("{{\"a\":\"{large}\"{tail}\n{{\"a\":\"next\"}}");
    let range = |text: &str| 0..text.len() as u64;
    let good = record("}");
    let expected = [Line::Text(large.clone().into()), Line::Text(b"next".to_vec())];
    // Not with `assert_eq`, which would print megabytes.
    assert!(read_part(good.as_bytes(), "a", range(&good), usize::MAX).unwrap() == expected);
    for (tail, problem) in
        [(",}", Problem::Syntax), (",\"a\":\"again\"}", Problem::TooLarge), ("", Problem::Syntax)]
    {
        let bad = record(tail);
        let read = read_part(bad.as_bytes(), "a", range(&bad), usize::MAX);
        assert_eq!(read, Err(DamageKind::Record(problem)), "{tail}");
    }
    // Of another field, nothing is held.
    let other = read_part(good.as_bytes(), "b", range(&good), usize::MAX).unwrap();
    assert_eq!(other, [Line::Text(vec![]), Line::Text(vec![])]);
}

/// The text of `field`, by building a tree.
fn twin(line: &str, field: &str) -> Result<String, ()> {
    let value: Value = serde_json::from_str(line).map_err(|_| ())?;
    if !value.is_object() {
        return Err(());
    }
    let mut found = &value;
    for name in field.split('.') {
        let Some(next) = found.get(name) else { return Ok(String::new()) };
        found = next;
    }
    match found {
        Value::Null => Ok(String::new()),
        Value::String(text) => Ok(text.clone()),
        Value::Array(_) | Value::Bool(_) | Value::Number(_) | Value::Object(_) => Err(()),
    }
}

fn any_json() -> impl Strategy<Value = String> {
    let string = prop_oneof![
        Just("\"\"".to_owned()),
        "[ab\u{e9}\u{1F980}]{0,4}".prop_map(|text| format!("{text:?}")),
        "\"(\\\\[nrtbf/\"\\\\]|\\\\u00e9|\\\\ud83e\\\\udd80|[a-c ]){0,5}\"".prop_map(|text| text),
    ];
    let scalar = prop_oneof![
        string,
        "-?(0|[1-9][0-9]{0,3})(\\.[0-9]{1,2})?([eE][+-]?[0-9])?".prop_map(|number| number),
        prop::sample::select(&["true", "false", "null"][..]).prop_map(str::to_owned),
    ];
    scalar.prop_recursive(4, 24, 5, |inner| {
        let key = prop::sample::select(&["\"a\"", "\"b\"", "\"\\u0061\"", "\"ab\"", "\"\""][..]);
        let space = prop::sample::select(&["", " ", "\t", "\r "][..]);
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4)
                .prop_map(|items| format!("[{}]", items.join(","))),
            prop::collection::vec((key, space, inner), 0..5).prop_map(|members| {
                let member = |(key, space, value): &(&str, &str, String)| {
                    format!("{space}{key}{space}:{space}{value}{space}")
                };
                let members: Vec<_> = members.iter().map(member).collect();
                format!("{{{}}}", members.join(","))
            }),
        ]
    })
}

/// Good records, and some that are damaged.
fn any_line() -> impl Strategy<Value = String> {
    let damage =
        prop::option::weighted(0.3, (any::<prop::sample::Index>(), "[\\[{}\\]:,\"x1\\\\]"));
    (any_json(), damage).prop_map(|(mut line, damage)| {
        if let Some((index, letter)) = damage {
            let mut index = index.index(line.len() + 1);
            while !line.is_char_boundary(index) {
                index -= 1;
            }
            line.insert_str(index, &letter);
        }
        line
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn any_line_is_read_as_by_building_a_tree(
        line in any_line(),
        field in prop::sample::select(&["a", "a.b", "b.a.a"][..]),
        step in 1..6_usize,
    ) {
        let lines = read_part(line.as_bytes(), field, 0..line.len() as u64, step).unwrap();
        match (twin(&line, field), &lines[..]) {
            (Ok(text), [Line::Text(found)]) => prop_assert_eq!(found, text.as_bytes()),
            (Err(()), [Line::Bad(_)]) => {}
            // The twin refuses half a pair of surrogates.
            (Err(()), [Line::Text(_)]) => {
                let error = serde_json::from_str::<Value>(&line).unwrap_err().to_string();
                prop_assert!(error.contains("hex escape"), "{error}");
            }
            (expected, found) => prop_assert!(false, "{expected:?}, found {found:?}"),
        }
    }

    #[test]
    fn every_record_is_in_one_share_wherever_the_file_is_cut(
        lines in prop::collection::vec(prop_oneof![any_line(), Just(String::new())], 0..8),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..5),
        end in prop::sample::select(&["", "\n", "\r\n"][..]),
        mark in prop::sample::select(&["", "\u{FEFF}"][..]),
    ) {
        let file = format!("{mark}{}{end}", lines.join("\n"));
        let texts = |lines: Vec<Line>| -> Vec<Option<Vec<u8>>> {
            let text = |line| match line { Line::Bad(_) => None, Line::Text(text) => Some(text) };
            lines.into_iter().map(text).collect()
        };
        let whole = texts(read_part(file.as_bytes(), "a", 0..file.len() as u64, 1000).unwrap());
        let mut cuts: Vec<u64> = cuts.iter().map(|cut| cut.index(file.len() + 1) as u64).collect();
        cuts.extend([0, file.len() as u64]);
        cuts.sort_unstable();
        let parts = cuts.windows(2).flat_map(|cut| {
            texts(read_part(file.as_bytes(), "a", cut[0]..cut[1], 1000).unwrap())
        });
        prop_assert_eq!(parts.collect::<Vec<_>>(), whole);
    }
}
