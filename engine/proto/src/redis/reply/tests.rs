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
    let mut reader = Reader::new();
    reader.begin(100, true);
    let (bytes, mut at, mut seen) = (b"*3\r\n+OK\r\n*2\r\n:1\r\n:2\r\n-ERR x\r\n", 0, Vec::new());
    loop {
        let step = reader.step(&bytes[at..]);
        match step {
            Step::Used(n) => at += n,
            Step::Element(n) | Step::Done(n) => {
                at += n;
                let element = &reader.element;
                seen.push((element.kind, String::from_utf8(element.text.clone()).unwrap(), element.size));
                if matches!(step, Step::Done(_)) {
                    break;
                }
            }
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(at, bytes.len());
    assert_eq!(seen.iter().map(|s| s.1.as_str()).collect::<Vec<_>>(), ["OK", "1 2", "ERR x"]);
    assert_eq!(seen.iter().map(|s| s.0).collect::<Vec<_>>(), [Kind::Status, Kind::Array, Kind::Error]);
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
        b"$?\r\n",
        b"_x\r\n",
    ] {
        assert_eq!(read(bytes, 100, 10).last().unwrap().2, "bad", "{bytes:?}");
    }
    assert_eq!(read(&b"*1\r\n".repeat(1000), 100, 10).last().unwrap().2, "bad", "too deep");
    assert!(read(b"*4294967295\r\n:1\r\n", 100, 10).is_empty(), "waits, and keeps nothing");
}
