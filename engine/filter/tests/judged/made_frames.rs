//! Frame mode against libpcap: the same expressions on the same frames, the same verdicts.

use sniff_x_flow::LinkType;

use crate::support::{expressions, frame, frames, judged};

/// Where libpcap's loop has no end, the frame does not pass, and that is soon known.
#[test]
fn chains_that_lead_back() {
    for link_type in frames::LINKS {
        for bytes in frames::endless(link_type) {
            for text in [
                "protochain 6",
                "not protochain 6",
                "not ip6 protochain 6",
                "not ip protochain 300",
                "not tcp",
            ] {
                let (judge, ours) = judged(link_type, text).expect("taken");
                let verdict = ours.matches_frame(&frame(link_type, &bytes, None));
                assert_eq!(verdict, judge.plain(&bytes), "'{text}' on {link_type:?} {bytes:02x?}");
            }
        }
    }
    let (judge, ours) = judged(LinkType::RAW, "not protochain 6").expect("taken");
    let bytes = &frames::endless(LinkType::RAW)[0];
    assert!(!ours.matches_frame(&frame(LinkType::RAW, bytes, None)) && !judge.plain(bytes));
}

#[test]
fn same_verdicts_on_made_frames() {
    let mut compared = 0_u64;
    for link_type in frames::LINKS {
        let frames = frames::all(link_type);
        for text in expressions() {
            let Some((judge, ours)) = judged(link_type, text) else { continue };
            for bytes in &frames {
                // Whole, and cut everywhere.
                for len in 0..=bytes.len() {
                    let bytes = &bytes[..len];
                    let verdict = ours.matches_frame(&frame(link_type, bytes, None));
                    assert_eq!(verdict, judge.plain(bytes), "'{text}' on {link_type:?} {bytes:02x?}");
                    compared += 1;
                }
            }
        }
    }
    println!("{compared} verdicts compared");
    assert!(expressions().count() >= 380);
}
