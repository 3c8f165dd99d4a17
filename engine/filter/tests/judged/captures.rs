//! Frame mode on real captures, against libpcap.

use std::path::{Path, PathBuf};

use pcap::Capture;
use sniff_x_filter::{EbpfOptions, Link, Listing, RuleSet};
use sniff_x_flow::LinkType;

use crate::support::vm::{Skb, Vm};
use crate::support::{agrees, expressions, frame, judged as by_both};

/// Frames of a capture that are looked at.
const ENOUGH: usize = 60;

fn captures() -> Option<Vec<PathBuf>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/captures");
    if !root.is_dir() {
        println!("skipped: ../shared/captures is not here");
        return None;
    }
    let mut files = Vec::new();
    for folder in ["link", "mysql", "nasty", "reassembly"] {
        for entry in std::fs::read_dir(root.join(folder)).into_iter().flatten() {
            let path = entry.expect("folder").path();
            if path.extension().is_some_and(|e| e == "pcap" || e == "pcapng") {
                files.push(path);
            }
        }
    }
    files.sort();
    Some(files)
}

#[test]
fn same_verdicts_on_real_captures() {
    let Some(files) = captures() else { return };
    let mut judged = Vec::new();
    for path in files {
        // libpcap reads only a part of the nasty ones.
        let Ok(mut capture) = Capture::from_file(&path) else { continue };
        let dlt = capture.get_datalink();
        let link_type = if dlt.0 == 12 { LinkType::RAW } else { LinkType(dlt.0 as u16) };
        let mut frames = Vec::new();
        while frames.len() < ENOUGH
            && let Ok(packet) = capture.next_packet()
        {
            frames.push(packet.data.to_vec());
        }
        judged.push((path, link_type, frames));
    }
    let mut links: Vec<u16> = judged.iter().map(|(_, link, _)| link.0).collect();
    links.sort_unstable();
    links.dedup();
    println!("{} captures, link types {links:?}", judged.len());
    assert!(judged.len() > 20);
    let mut compared = 0_u64;
    for link_type in crate::support::frames::LINKS {
        let of_link: Vec<_> = judged.iter().filter(|(_, link, _)| *link == link_type).collect();
        for text in expressions() {
            let Some((judge, filter)) = by_both(link_type, text) else { continue };
            let link = match link_type {
                LinkType::ETHERNET => Some(Link::Ethernet),
                LinkType::RAW => Some(Link::RawIp),
                _ => None,
            };
            let rules = RuleSet { filter: Some(filter), rules: Vec::new() };
            let program = link.map(|link| {
                rules.compile_ebpf(&EbpfOptions { accept: 1, counters_fd: None, link }).expect("small enough")
            });
            let vm = program.as_deref().map(Vm::new);
            for (path, _, frames) in &of_link {
                for bytes in frames {
                    let expected = judge.plain(bytes);
                    assert_eq!(
                        rules.matches_frame(&frame(link_type, bytes, None)),
                        expected,
                        "'{text}' on {bytes:02x?} of {}",
                        path.display()
                    );
                    if let Some(vm) = &vm {
                        let skb = Skb { bytes: bytes.clone(), ..Skb::default() };
                        let listing = program.as_deref().map(Listing);
                        let agrees = agrees(&rules, link.expect("a program"), vm.run(&skb) != 0, expected);
                        assert!(agrees, "'{text}' on {bytes:02x?}\n{listing:?}");
                    }
                    compared += 1;
                }
            }
        }
    }
    println!("{compared} verdicts compared");
}
