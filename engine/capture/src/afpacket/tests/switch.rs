//! Rules that are replaced while frames come. What was sent says what must be seen.

use std::sync::atomic::{AtomicBool, Ordering};

use super::*;
use crate::RuleSwitch;

/// Frames of each kind that the sender sends.
const FRAMES: u32 = 20_000;

/// UDP to this port, with a number at its end.
fn datagram(port: u16, number: u32) -> Vec<u8> {
    let mut frame = vec![2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0];
    frame.extend([0x45, 0, 0, 32, 0, 0, 0, 0, 64, 17, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2]);
    frame.extend([0x9c, 0x40]);
    frame.extend(port.to_be_bytes());
    frame.extend([0, 12, 0, 0]);
    frame.extend(number.to_be_bytes());
    frame
}

/// Port and number of such a frame.
fn read(seen: &Seen) -> (u16, u32) {
    let bytes = &seen.bytes;
    (u16::from_be_bytes([bytes[36], bytes[37]]), u32::from_be_bytes(bytes[42..46].try_into().unwrap()))
}

fn rules(filter: Option<&str>, rule: Option<&str>) -> RuleSet {
    RuleSet {
        filter: filter.map(|text| sniff_x_filter::parse(text).unwrap()),
        rules: rule.map(|text| sniff_x_filter::parse_rule(text).unwrap()).into_iter().collect(),
    }
}

/// The many ports of the last set make a map.
fn sets() -> [RuleSet; 4] {
    let many: Vec<_> = (1000..3000).step_by(10).map(|port| port.to_string()).collect();
    [
        rules(None, Some("udp and (port 7000 or port 7001)")),
        rules(Some("udp dst port 7000 or 7002"), None),
        rules(Some("ip[9] = 17"), Some("udp and portrange 7000-7002")),
        rules(None, Some(&format!("udp port 7000 or {}", many.join(" or ")))),
    ]
}

fn put(switch: &mut dyn RuleSwitch, rules: &RuleSet) -> FilterLevel {
    switch.prepare(rules).unwrap();
    switch.commit().unwrap()
}

/// Reads until the sender is done while rules are replaced all the time; what was seen, and how often they were replaced.
fn under_traffic(sources: &mut [AfPacket], interfaces: &[&str]) -> (Vec<Seen>, u32) {
    let (mut switch, level) = (sources[0].rule_switch().unwrap(), sources[0].filter_level());
    let sent = AtomicBool::new(false);
    let (mut seen, mut swaps) = (Vec::new(), 0);
    thread::scope(|scope| {
        // The network belongs to this thread and to those that it starts.
        scope.spawn(|| {
            let mut out: Vec<_> = interfaces.iter().map(|name| sender(name)).collect();
            for number in 0..FRAMES {
                for port in [7000, 7001, 7002, 7003] {
                    for out in &mut out {
                        out.write_all(&datagram(port, number)).unwrap();
                    }
                }
            }
            sent.store(true, Ordering::Release);
        });
        for rules in sets().iter().cycle() {
            let now = put(switch.as_mut(), rules);
            // Where all is left to the engine the kernel filters as soon as it can.
            assert!(now == level || level == UserSpace, "{now:?}");
            swaps += 1;
            for source in sources.iter_mut() {
                while let Batch::Frames(lease) = source.next(Duration::ZERO).unwrap() {
                    collect(&lease, &mut seen);
                }
            }
            if sent.load(Ordering::Acquire) {
                break;
            }
        }
    });
    for source in sources {
        seen.extend(finish(source));
    }
    (seen, swaps)
}

#[test]
fn no_frame_is_lost_that_all_rules_let_pass() {
    if !own_network() {
        return;
    }
    veth();
    for level in LEVELS {
        let options = LiveOptions { rules: sets()[0].clone(), ring_size: 16 << 20, ..options(&["here"]) };
        let mut source = [open(level, &options)];
        let (seen, swaps) = under_traffic(&mut source, &["there"]);
        let of = |port: u16| seen.iter().map(read).filter(move |(p, _)| *p == port).map(|(_, number)| number);
        assert_eq!(source[0].counters().dropped, Some(0), "the ring was too small for this machine");
        assert!(
            of(7000).eq(0..FRAMES),
            "{level:?}: each once and in order, {} of {FRAMES}",
            of(7000).count()
        );
        assert!(swaps > 20, "{swaps} replacements are no test");
        if level != UserSpace {
            assert_eq!(of(7003).count(), 0, "{level:?}: no rules ask for these");
            assert!(of(7001).count() < FRAMES as usize && of(7002).count() < FRAMES as usize, "{level:?}");
        }
    }
}

#[test]
fn all_rings_of_all_interfaces_have_the_new_rules() {
    if !own_network() {
        return;
    }
    veth();
    ip("link add second type veth peer name other");
    ip("link set second up");
    ip("link set other up");
    let options = LiveOptions {
        rings: 2,
        rules: sets()[0].clone(),
        ring_size: 16 << 20,
        ..options(&["here", "second"])
    };
    let mut sources = AfPacket::open(&options, Filtering::load).unwrap();
    assert_eq!(sources.len(), 2);
    let (seen, swaps) = under_traffic(&mut sources, &["there", "other"]);
    for name in ["here", "second"] {
        let of_one = seen.iter().filter(|one| one.interface == index(name)).map(read);
        let mut numbers: Vec<_> =
            of_one.filter(|(port, _)| *port == 7000).map(|(_, number)| number).collect();
        numbers.sort_unstable();
        assert!(numbers.into_iter().eq(0..FRAMES), "{name}: each once");
    }
    assert!(seen.iter().map(read).all(|(port, _)| port != 7003));
    assert!(swaps > 20, "{swaps} replacements are no test");
}

#[test]
fn the_new_rules_are_in_force_when_the_call_returns() {
    if !own_network() {
        return;
    }
    veth();
    for level in [Ebpf, Classic] {
        for interface in ["here", "any"] {
            let first = LiveOptions { rules: sets()[0].clone(), ..options(&[interface]) };
            let mut source = open(level, &first);
            let mut switch = source.rule_switch().unwrap();
            let mut there = sender("there");
            let mut send = || {
                for port in [7001, 7002] {
                    there.write_all(&datagram(port, 0)).unwrap();
                }
            };
            send();
            put(switch.as_mut(), &rules(None, Some("udp and port 7002")));
            send();
            // What is wrong leaves the rules as they were.
            if interface == "here" {
                assert!(switch.prepare(&rules(Some("mpls and arp"), None)).is_err());
            }
            send();
            let seen: Vec<_> = finish(&mut source)
                .iter()
                .filter(|one| one.interface == index("here"))
                .map(|one| read(one).0)
                .collect();
            assert_eq!(seen, [7001, 7002, 7002], "{level:?} {interface}");
            // The intake has ended: rules that come later don't open it again.
            put(switch.as_mut(), &rules(None, None));
            send();
            assert!(matches!(source.next(Duration::from_millis(50)), Ok(Batch::End)));
        }
    }
}

/// What makes no program is judged by the engine, and the next that makes one again by the kernel.
#[test]
fn the_level_changes_with_the_rules() {
    if !own_network() {
        return;
    }
    veth();
    // Apart from each other, so that a program of classic BPF gets too long.
    let many: Vec<_> = (0..1000).map(|n| (3306 + 7 * n).to_string()).collect();
    let level = Classic;
    let mut source = open(level, &options(&["here"]));
    let mut switch = source.rule_switch().unwrap();
    let mut there = sender("there");
    assert_eq!(
        put(switch.as_mut(), &rules(None, Some(&format!("tcp port {}", many.join(" or "))))),
        UserSpace,
        "classic"
    );
    assert_eq!(source.filter_level(), UserSpace);
    there.write_all(&datagram(9, 1)).unwrap();
    assert_eq!(put(switch.as_mut(), &rules(Some("udp port 10"), None)), level);
    assert_eq!(source.filter_level(), level);
    there.write_all(&datagram(9, 2)).unwrap();
    there.write_all(&datagram(10, 3)).unwrap();
    let seen: Vec<_> = finish(&mut source).iter().map(read).collect();
    assert_eq!(seen, [(9, 1), (10, 3)], "classic");
}
