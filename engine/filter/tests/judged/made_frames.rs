//! Frame mode against libpcap: the same expressions on the same frames, the same verdicts.

use crate::support::{expressions, frame, frames, judged};

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
