//! Values of every type, cut anywhere, and what is none.

use super::*;

/// Reads `bytes` in parts of `part` bytes; type, number of values and text of each reply.
fn read(bytes: &[u8], part: usize, limit: usize) -> Vec<(Kind, Option<u64>, String)> {
    let (mut reader, mut out, mut at, mut end) = (Reader::new(), Vec::new(), 0, 0);
    reader.begin(limit, false);
    let mut skip = 0;
    loop {
        if skip > 0 {
            let passed = skip.min(end - at);
            at += passed;
            skip -= passed;
        }
        match if skip > 0 { Step::More } else { reader.step(&bytes[at..end]) } {
            Step::More if end == bytes.len() => return out,
            Step::More => end = (end + part).min(bytes.len()),
            Step::Used(n) | Step::Element(n) => at += n,
            Step::Skip(n, then) => {
                at += n;
                skip = usize::try_from(then).unwrap();
            }
            Step::Done(n) => {
                at += n;
                let whole = &reader.whole;
                let text = String::from_utf8_lossy(&whole.text).into_owned();
                out.push((whole.kind, whole.count, text));
                reader.begin(limit, false);
            }
            Step::Bad => {
                out.push((Kind::Error, None, "bad".to_owned()));
                return out;
            }
        }
    }
}

#[test]
fn replies_of_every_type() {
    let bytes = b"+OK\r\n-ERR no\r\n:-7\r\n$5\r\nhel\r\n\r\n$-1\r\n*-1\r\n*0\r\n_\r\n#t\r\n,3.5\r\n(123\r\n=7\r\ntxt:abc\r\n\
        *2\r\n$1\r\na\r\n*2\r\n:1\r\n$0\r\n\r\n%1\r\n+k\r\n+v\r\n~1\r\n:9\r\n|1\r\n+ttl\r\n:3\r\n+with\r\n!6\r\nERR xy\r\n>2\r\n+a\r\n+b\r\n";
    for part in [1, 2, 7, 1000] {
        let shown: Vec<_> = read(bytes, part, 100).into_iter().map(|(k, n, t)| (k.as_str(), n, t)).collect();
        let expected = [
            ("status", None, "OK"),
            ("error", None, "ERR no"),
            ("integer", None, "-7"),
            ("string", None, "hel\r\n"),
            ("nil", None, "nil"),
            ("nil", None, "nil"),
            ("array", Some(0), ""),
            ("nil", None, "nil"),
            ("boolean", None, "true"),
            ("double", None, "3.5"),
            ("big number", None, "123"),
            ("string", None, "txt:abc"),
            ("array", Some(2), "a 1 "),
            ("map", Some(1), "k v"),
            ("set", Some(1), "9"),
            ("status", None, "with"),
            ("error", None, "ERR xy"),
            ("push", Some(2), "a b"),
        ];
        let expected = expected.map(|(k, n, t)| (k, n, t.to_owned()));
        assert_eq!(shown, expected, "in parts of {part}");
    }
}

/// The RESP3 specification, "Streamed strings" and "Streamed aggregated data types": its own examples, and these in one another.
#[test]
fn values_whose_length_is_not_known_ahead() {
    let bytes = b"$?\r\n;4\r\nHell\r\n;5\r\no wor\r\n;1\r\nd\r\n;0\r\n*?\r\n:1\r\n:2\r\n:3\r\n.\r\n\
        %?\r\n+a\r\n:1\r\n+b\r\n:2\r\n.\r\n~?\r\n.\r\n>?\r\n+message\r\n$?\r\n;0\r\n.\r\n\
        |?\r\n+ttl\r\n*?\r\n.\r\n.\r\n+with\r\n*2\r\n*?\r\n+x\r\n%?\r\n.\r\n.\r\n$?\r\n;2\r\n\r\n\r\n;0\r\n+OK\r\n";
    for part in [1, 2, 3, 7, 1000] {
        let shown: Vec<_> = read(bytes, part, 100).into_iter().map(|(k, n, t)| (k.as_str(), n, t)).collect();
        let expected = [
            ("string", None, "Hello word"),
            ("array", Some(3), "1 2 3"),
            ("map", Some(2), "a 1 b 2"),
            ("set", Some(0), ""),
            ("push", Some(2), "message "),
            ("status", None, "with"),
            ("array", Some(2), "x \r\n"),
            ("status", None, "OK"),
        ];
        assert_eq!(shown, expected.map(|(k, n, t)| (k, n, t.to_owned())), "in parts of {part}");
    }
    // What is not shown is passed over, in a piece too.
    let long = [&b"$?\r\n;100000\r\n"[..], &vec![b'x'; 100_000], b"\r\n;3\r\nabc\r\n;0\r\n+OK\r\n"].concat();
    for part in [1000, 200_000] {
        let shown: Vec<_> = read(&long, part, 10).into_iter().map(|(_, _, text)| text).collect();
        assert_eq!(shown, ["xxxxxxxxxx", "OK"]);
    }
}

#[test]
fn long_texts_are_passed_over() {
    let bytes = [&b"*2\r\n$100000\r\n"[..], &vec![b'x'; 100_000], b"\r\n:5\r\n+OK\r\n"].concat();
    for part in [1000, 200_000] {
        let shown = read(&bytes, part, 10);
        assert_eq!(shown[0], (Kind::Array, Some(2), "xxxxxxxxxx".to_owned()));
        assert_eq!(shown[1].2, "OK");
    }
}

#[test]
fn values_one_by_one() {
    for bytes in [
        &b"*3\r\n+OK\r\n*2\r\n:1\r\n:2\r\n-ERR x\r\n"[..],
        b"*?\r\n+OK\r\n*?\r\n:1\r\n:2\r\n.\r\n-ERR x\r\n.\r\n",
        b"*3\r\n$?\r\n;1\r\nO\r\n;1\r\nK\r\n;0\r\n*?\r\n:1\r\n:2\r\n.\r\n-ERR x\r\n",
    ] {
        let mut reader = Reader::new();
        reader.begin(100, true);
        let (mut at, mut seen) = (0, Vec::new());
        loop {
            let step = reader.step(&bytes[at..]);
            let (used, is_element) = match step {
                Step::Used(n) => (n, false),
                Step::Element(n) => (n, true),
                Step::Done(n) => (n, reader.ends_with_element()),
                other => panic!("{other:?}"),
            };
            at += used;
            if is_element {
                let element = &reader.element;
                let text = String::from_utf8(element.text.clone()).unwrap();
                seen.push((element.kind.as_str(), element.count, text));
            }
            if matches!(step, Step::Done(_)) {
                break;
            }
        }
        assert_eq!((at, reader.whole.count), (bytes.len(), Some(3)));
        let first = if bytes[4] == b'$' { "string" } else { "status" };
        let expected = [(first, None, "OK"), ("array", Some(2), "1 2"), ("error", None, "ERR x")];
        assert_eq!(seen, expected.map(|(k, n, t)| (k, n, t.to_owned())));
    }
}

#[test]
fn nonsense_and_bombs_end() {
    for bytes in [
        &b"hello\r\n"[..],
        b"$x\r\n",
        b"*-2\r\n",
        b":1x\r\n",
        b"#q\r\n",
        b"$3\r\nabcde",
        b"$?\r\n$1\r\na\r\n",
        b"$?\r\n;-1\r\n",
        b"$?\r\n;2\r\nabc",
        b"=?\r\n",
        b";1\r\na\r\n",
        b"*1\r\n.\r\n",
        b"*?\r\n.x",
        b"%?\r\n+a\r\n.\r\n",
        b".\r\n",
        b"_x\r\n",
    ] {
        assert_eq!(read(bytes, 100, 10).last().unwrap().2, "bad", "{bytes:?}");
    }
    assert_eq!(read(&b"*1\r\n".repeat(1000), 100, 10).last().unwrap().2, "bad", "too deep");
    assert_eq!(read(&b"*?\r\n".repeat(1000), 100, 10).last().unwrap().2, "bad", "too deep");
    assert!(read(&[&b"$?\r\n"[..], &b";1\r\nx\r\n".repeat(10_000)].concat(), 100, 10).is_empty());
    assert!(read(b"*4294967295\r\n:1\r\n", 100, 10).is_empty(), "waits, and keeps nothing");
}
