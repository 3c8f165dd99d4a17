use std::io::Write as _;

use sniff_x_flow::Direction::{ToClient, ToServer};

use crate::mysql::Mysql;
use crate::replay::{Replay, Step};
use sniff_x_flow::{Direction, End};

fn frame(seq: u8, content: &[u8], plain: usize) -> Vec<u8> {
    let len = u32::try_from(content.len()).unwrap().to_le_bytes();
    let plain = u32::try_from(plain).unwrap().to_le_bytes();
    [&len[..3], &[seq], &plain[..3], content].concat()
}

fn zlib(plain: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(plain).unwrap();
    encoder.finish().unwrap()
}

fn packed(seq: u8, plain: &[u8]) -> Vec<u8> {
    frame(seq, &zlib(plain), plain.len())
}

fn packet(seq: u8, payload: &[u8]) -> Vec<u8> {
    [&u32::try_from(payload.len()).unwrap().to_le_bytes()[..3], &[seq], payload].concat()
}

const OK: &[u8] = &[0, 1, 0, 2, 0, 0, 0];

/// A connection that was joined in the middle and has shown that it is compressed.
fn joined() -> Replay {
    let mut replay = Replay::new(Box::<Mysql>::default(), 3306, true);
    let ping = frame(0, &packet(0, b"\x0e"), 0);
    say(&mut replay, ToServer, ping);
    say(&mut replay, ToClient, frame(1, &packet(1, OK), 0));
    replay
}

fn say(replay: &mut Replay, direction: Direction, bytes: Vec<u8>) {
    replay.step(&Step::Data(direction, bytes));
}

fn heads(lines: &[String]) -> Vec<String> {
    let of = |line: &String| {
        let head: Vec<_> = line.split(" db.system").next().unwrap().split(' ').collect();
        let operation = line.split("operation.name='").nth(1).map_or("", |o| o.split('\'').next().unwrap());
        format!("{} {operation}", head.join(" ")).trim_end().to_owned()
    };
    lines.iter().map(of).collect()
}

/// One packet over many frames, several packets in one, the text of a statement over two.
#[test]
fn packets_and_frames_know_nothing_of_each_other() {
    let mut replay = joined();
    let row = vec![b'r'; 20_000_000];
    let mut length = vec![0xfe];
    length.extend((row.len() as u64).to_le_bytes());
    let row = [length, row].concat();
    let mut response = packet(9, &[1]);
    response.extend(packet(10, b"\x03def\x04shop\x01t\x01t\x01c\x01c\x0c\x2d\0\xff\0\0\0\xfd\0\0\0\0\0"));
    response.extend(packet(11, b"\xfe\0\0\x02\0"));
    response.extend(packet(12, &row[..0xff_ffff]));
    response.extend(packet(13, &row[0xff_ffff..]));
    response.extend(packet(14, b"\xfe\0\0\x02\0"));
    let request = packet(0, b"\x03select big from t");
    say(&mut replay, ToServer, frame(0, &request[..9], 0));
    say(&mut replay, ToServer, packed(1, &request[9..]));
    for (seq, piece) in (2..).zip(response.chunks(6_000_000)) {
        say(&mut replay, ToClient, packed(seq, piece));
    }
    let lines = replay.finish(End::Fin);
    assert_eq!(heads(&lines), ["exchange ok PING", "exchange ok SELECT"]);
    assert!(lines[1].contains("db.query.text='select big from t'"), "{}", lines[1]);
    assert!(
        lines[1].contains("returned_rows=1 ")
            && lines[1].contains(&format!("response.size={}", response.len()))
    );
}

/// What a frame becomes is never kept, whatever it claims: 16 MiB of zeros in 16 KiB, over and over.
#[test]
fn bombs_cost_nothing() {
    let mut replay = joined();
    let zeros = vec![0; 0xff_ffff];
    let bomb = zlib(&zeros);
    assert!(bomb.len() < 20_000);
    // A row as long as can be, then garbage inside.
    say(&mut replay, ToServer, frame(0, &packet(0, b"\x03select 1"), 0));
    let mut head = packet(1, &[1]);
    head.extend(packet(2, b"\x03def\x04shop\x01t\x01t\x01c\x01c\x0c\x2d\0\xff\0\0\0\xfd\0\0\0\0\0"));
    head.extend([0xff, 0xff, 0xff, 3]);
    say(&mut replay, ToClient, frame(1, &head, 0));
    for seq in 2..6 {
        for part in frame(seq, &bomb, zeros.len()).chunks(1400) {
            say(&mut replay, ToClient, part.to_vec());
            let retained = replay.kept();
            assert!(retained < 64 << 10, "{retained} bytes are held");
        }
    }
    assert!(replay.kept() < 8 << 10, "between frames no decompressor is held: {}", replay.kept());
    let counters = replay.counters();
    assert_eq!(counters.unpacked_bytes, (4 * zeros.len() + head.len() + 13 + 5 + 11) as u64);
    // It becomes more than it said.
    say(&mut replay, ToServer, frame(0, &packet(0, b"\x0e"), 0));
    say(&mut replay, ToClient, frame(1, &bomb, 1000));
    let lines = replay.finish(End::Fin);
    let notices = lines.iter().filter(|l| l.contains("has not the length that it announced")).count();
    assert_eq!(notices, 1, "{lines:#?}");
}

/// One notice, then out of step until the direction begins to speak again.
#[test]
fn corrupt_frames() {
    let response = packet(1, OK);
    let good = packed(1, &response);
    let flipped = |at: usize| {
        let mut bad = good.clone();
        bad[at] ^= 0x40;
        bad
    };
    let adler = flipped(good.len() - 1);
    let short = frame(1, &zlib(&response), response.len() + 1);
    let long = frame(1, &zlib(&response), response.len() - 1);
    let more = frame(1, &[&zlib(&response)[..], b"more"].concat(), response.len());
    let empty = frame(1, &[], 5);
    let misnumbered = packed(7, &response);
    for (what, bad) in [
        ("magic", flipped(7)),
        ("Adler-32", adler),
        ("too short", short),
        ("too long", long),
        ("more behind it", more),
        ("empty", empty),
        ("out of sequence", misnumbered),
    ] {
        let mut replay = joined();
        say(&mut replay, ToServer, frame(0, &packet(0, b"\x03select 1"), 0));
        say(&mut replay, ToClient, bad);
        say(&mut replay, ToClient, frame(2, b"lost", 0));
        say(&mut replay, ToServer, packed(0, &packet(0, b"\x03delete from t")));
        say(&mut replay, ToClient, packed(1, &response));
        let lines = replay.finish(End::Fin);
        let notices = lines.iter().filter(|l| l.starts_with("notice")).count();
        assert_eq!(notices, 1, "{what}: {lines:#?}");
        let last = heads(&lines).pop().unwrap();
        assert_eq!(last, "exchange ok DELETE", "{what}: {lines:#?}");
        assert!(heads(&lines).iter().all(|l| l != "exchange ok SELECT"), "{what}: {lines:#?}");
    }
}

/// A gap in a frame whose length is known costs what is in it, not the place in the stream: a row that nobody reads costs nothing.
#[test]
fn a_gap_inside_a_row_that_is_passed_over_is_no_gap() {
    for whole in [true, false] {
        let mut replay = joined();
        say(&mut replay, ToServer, frame(0, &packet(0, b"\x03select 1"), 0));
        let mut response = packet(1, &[1]);
        response.extend(packet(2, b"\x03def\x04shop\x01t\x01t\x01c\x01c\x0c\x2d\0\xff\0\0\0\xfd\0\0\0\0\0"));
        response.extend(packet(3, b"\xfe\0\0\x02\0"));
        let head = response.len();
        let noise: Vec<u8> =
            (0..40_000_u32).map(|i| i.wrapping_mul(2_654_435_761).to_be_bytes()[0]).collect();
        response.extend(packet(4, &[&[0xfd, 0x40, 0x9c, 0][..], &noise].concat()));
        let tail = packet(5, b"\xfe\0\0\x02\0");
        say(&mut replay, ToClient, frame(1, &response[..head + 100], 0));
        let middle =
            if whole { packed(2, &response[head + 100..]) } else { frame(2, &response[head + 100..], 0) };
        say(&mut replay, ToClient, middle[..500].to_vec());
        replay.step(&Step::Gap(ToClient, 1000));
        say(&mut replay, ToClient, middle[1500..].to_vec());
        say(&mut replay, ToClient, frame(3, &tail, 0));
        let lines = replay.finish(End::Fin);
        assert_eq!(heads(&lines), ["exchange ok PING", "exchange ok SELECT"], "{lines:#?}");
    }
}
