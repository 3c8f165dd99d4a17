//! Frame mode against libpcap: the same expressions on the same frames, the same verdicts.

use crate::support::{Judge, expressions, frame, frames};

#[test]
fn same_verdicts_on_made_frames() {
    let mut compared = 0_u64;
    for link_type in frames::LINKS {
        let frames = frames::all(link_type);
        for text in expressions() {
            let judge =
                Judge::new(link_type, text).unwrap_or_else(|e| panic!("libpcap refuses '{text}': {e}"));
            let ours = sniff_x_filter::parse(text).unwrap_or_else(|e| panic!("{e}"));
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
    assert!(expressions().count() >= 120);
}
