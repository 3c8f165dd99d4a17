//! The `tcp` plugin played without a capture.

use sniff_x_flow::{Direction, End};

use super::Tcp;
use crate::replay::{Replay, Step};
use crate::{Options, Plugin};

fn configured(options: &[(&str, &str)]) -> Result<Box<dyn Plugin>, String> {
    let mut given = Options::default();
    options.iter().for_each(|&(name, value)| given.push(name, value));
    let mut plugin = Box::<Tcp>::default();
    plugin.configure(&given).map_err(|error| error.to_string())?;
    Ok(plugin)
}

fn play(options: &[(&str, &str)], steps: &[Step]) -> Vec<String> {
    let mut replay = Replay::new(configured(options).unwrap(), 80, false);
    steps.iter().for_each(|step| replay.step(step));
    replay.finish(End::Fin)
}

fn said(direction: Direction, bytes: &[u8]) -> Step {
    Step::Data(direction, bytes.to_vec())
}

use Direction::{ToClient, ToServer};

#[test]
fn content_is_shown_as_it_comes_and_marked() {
    let steps = [said(ToServer, b"ping\r\n"), Step::Gap(ToClient, 7), said(ToClient, b"pong")];
    let content = |form| {
        let events = play(&[("content", form)], &steps);
        assert_eq!(events.len(), 4, "{events:?}");
        assert!(events[1].contains("sniffx.gap_bytes=7"), "{}", events[1]);
        assert!(events[1].contains("sniffx.tcp.direction='to_client'"), "{}", events[1]);
        assert!(events[3].starts_with("summary"), "{}", events[3]);
        [events[0].clone(), events[2].clone()]
    };
    let [ping, pong] = content("text");
    assert!(ping.contains(r"sniffx.tcp.direction='to_server' sniffx.tcp.content='ping\r\n'"), "{ping}");
    assert!(pong.contains("sniffx.tcp.direction='to_client' sniffx.tcp.content='pong'"), "{pong}");
    let [ping, pong] = content("hex");
    assert!(ping.contains("sniffx.tcp.content='70696e670d0a'"), "{ping}");
    assert!(pong.contains("sniffx.tcp.content='706f6e67'"), "{pong}");
}

#[test]
fn long_content_is_cut_into_events_and_none_of_it_is_lost() {
    let bytes: Vec<u8> = (0..150_000u32).map(|n| b'a' + u8::try_from(n % 23).unwrap()).collect();
    for (form, expected) in [
        ("text", String::from_utf8(bytes.clone()).unwrap()),
        ("hex", bytes.iter().map(|byte| format!("{byte:02x}")).collect()),
    ] {
        let events = play(&[("content", form)], &[said(ToServer, &bytes)]);
        let shown: String = events
            .iter()
            .filter_map(|event| event.split("sniffx.tcp.content='").nth(1)?.split('\'').next())
            .collect();
        assert!(shown == expected, "{form}: {} of {} characters", shown.len(), expected.len());
        assert!(!events.iter().any(|event| event.contains("sniffx.text.length")), "nothing is cut");
    }
}

#[test]
fn small_connections_are_left_out() {
    // A replay's totals are all zero.
    assert_eq!(play(&[("min-bytes", "1")], &[said(ToServer, b"ping")]), [] as [&str; 0]);
    assert_eq!(play(&[("min-bytes", "0")], &[said(ToServer, b"ping")]).len(), 1);
}

#[test]
fn wrong_values_are_refused() {
    let error = |name, value| configured(&[(name, value)]).err().unwrap();
    assert_eq!(error("content", "base64"), "--content: 'base64' is not text or hex");
    assert_eq!(error("min-bytes", "-1"), "--min-bytes: '-1' is not a number of bytes");
    assert_eq!(error("dump", ""), "--dump: '' is not a folder");
}
