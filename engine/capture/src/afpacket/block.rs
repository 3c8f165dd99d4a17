//! The frames of a TPACKET_V3 block: a walk over its bytes, without a system call or a copy.
//!
//! The kernel wrote them, but every length and offset is checked all the same: one that lies ends the walk, never the process.
//! Layout: `struct tpacket_block_desc`, `struct tpacket3_hdr`, `struct sockaddr_ll`, in
//! <https://github.com/torvalds/linux/blob/v6.18/include/uapi/linux/if_packet.h>.

use sniff_x_filter::Link;
use sniff_x_flow::{Frame, FrameFlags, LinkType, Nanos, VlanTag};

use crate::bytes::ByteOrder;
use crate::lease::FRAME_LINES;

/// Where the block's status is: the word that says whose block it is.
pub(crate) const STATUS: usize = 8;
const PACKETS: usize = 12;
const FIRST: usize = 16;
const LENGTH: usize = 20;

/// Bytes of `struct tpacket3_hdr`, behind which `struct sockaddr_ll` lies.
const HEADER: usize = 48;
/// As much of `struct sockaddr_ll` as is read.
const ADDRESS: usize = 12;

/// `PACKET_OUTGOING` of `sll_pkttype`.
const OUTGOING: u8 = 4;

/// What a walk counted that isn't a frame.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Uncounted {
    /// Second sights on the loopback interface.
    pub(crate) duplicates: u64,
    /// Frames of a link type that no reader knows, and the rest of a block that lies.
    pub(crate) unreadable: u64,
}

/// How a walk reads its block.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reading {
    /// The most bytes of a frame; `u32::MAX` is all.
    pub(crate) snaplen: u32,
    /// Leave out the second sight of what goes over a loopback interface: the kernel's filter doesn't.
    pub(crate) drop_duplicates: bool,
}

/// Walks the frames of a block.
pub(crate) struct Walk<'a> {
    block: &'a [u8],
    reading: Reading,
    at: usize,
    left: u32,
    pub(crate) uncounted: Uncounted,
}

impl<'a> Walk<'a> {
    pub(crate) fn new(block: &'a [u8], reading: Reading) -> Self {
        let number = |at| ByteOrder::NATIVE.u32(block, at).unwrap_or(0);
        // Nothing is read beyond what the kernel says that it wrote.
        let written = (number(LENGTH) as usize).min(block.len());
        Self {
            block: block.get(..written).unwrap_or_default(),
            reading,
            at: number(FIRST) as usize,
            left: number(PACKETS),
            uncounted: Uncounted::default(),
        }
    }

    /// The next frame, with its link type or none where that is unknown; the outer none if it contradicts the block.
    #[inline]
    fn frame(&mut self) -> Option<Option<Frame<'a>>> {
        let header = self.block.get(self.at..)?.first_chunk::<{ HEADER + ADDRESS }>()?;
        let half = |at| ByteOrder::NATIVE.u16(header, at);
        let word = |at| ByteOrder::NATIVE.u32(header, at);
        let (next, captured, status) = (word(0)? as usize, word(12)?, word(20)?);
        let start = self.at.checked_add(usize::from(half(24)?))?;
        let bytes = self.block.get(start..)?.get(..captured as usize)?;
        let bytes = bytes.get(..self.reading.snaplen as usize).unwrap_or(bytes);
        // Of sockaddr_ll: family (2), protocol (2), interface (4), hardware type (2), packet type (1).
        let (interface, hardware, kind) = (word(HEADER + 4)?, half(HEADER + 8)?, *header.get(HEADER + 10)?);

        if self.left > 1 {
            if next < HEADER {
                return None;
            }
            self.at = self.at.checked_add(next)?;
            // Frames of different lengths are more than the processor can guess. It has the time that this one takes.
            sniff_x_prefetch::bytes(self.block, self.at, FRAME_LINES);
        }
        let outgoing = kind == OUTGOING;
        if outgoing && self.reading.drop_duplicates && hardware == libc::ARPHRD_LOOPBACK {
            self.uncounted.duplicates += 1;
            return Some(None);
        }
        let Some(link_type) = link_type(hardware) else {
            self.uncounted.unreadable += 1;
            return Some(None);
        };
        let vlan = (status & libc::TP_STATUS_VLAN_VALID != 0).then_some(()).and_then(|()| {
            let known = status & libc::TP_STATUS_VLAN_TPID_VALID != 0;
            let tpid = if known { half(36)? } else { 0x8100 };
            // The tag's control information is the lower half of 32 bits.
            Some(VlanTag { tpid, tci: u16::try_from(word(32)? & 0xffff).ok()? })
        });
        Some(Some(Frame {
            bytes,
            offset: u32::try_from(start).ok()?,
            timestamp: Nanos::new(u64::from(word(4)?), word(8)?),
            original_len: word(16)?.max(captured),
            interface,
            link_type,
            vlan,
            flags: FrameFlags { checksum_not_ready: status & libc::TP_STATUS_CSUMNOTREADY != 0, outgoing },
        }))
    }
}

impl<'a> Iterator for Walk<'a> {
    type Item = Frame<'a>;

    #[inline]
    fn next(&mut self) -> Option<Frame<'a>> {
        while self.left > 0 {
            match self.frame() {
                Some(frame) => {
                    self.left -= 1;
                    if frame.is_some() {
                        return frame;
                    }
                }
                None => {
                    self.uncounted.unreadable += u64::from(self.left);
                    self.left = 0;
                }
            }
        }
        None
    }
}

/// The interface of written frames.
#[cfg(feature = "generator")]
pub(crate) const INTERFACE: u32 = 1;

/// Writes the frames of a block as the kernel does: `prb_open_block`, `prb_fill_curr_block` and `tpacket_rcv` in
/// <https://github.com/torvalds/linux/blob/v6.18/net/packet/af_packet.c>.
#[cfg(feature = "generator")]
#[derive(Default)]
pub(crate) struct Writer {
    /// Where the next frame begins; 0 while there is none.
    at: usize,
    last: usize,
    frames: u32,
}

#[cfg(feature = "generator")]
impl Writer {
    /// Where a frame's header says that its bytes begin, with the 14 bytes of Ethernet before what is aligned.
    const MAC: usize = 82;
    /// Frames begin at multiples of it.
    const ALIGNED: usize = 8;

    pub(crate) fn is_empty(&self) -> bool {
        self.frames == 0
    }

    /// Adds an Ethernet frame to the block; false when it is full.
    pub(crate) fn frame(&mut self, block: &mut [u8], bytes: &[u8], time: Nanos) -> bool {
        let at = if self.frames == 0 { HEADER } else { self.at };
        let end = (at + Self::MAC + bytes.len()).next_multiple_of(Self::ALIGNED);
        let (Some(place), Ok(length)) = (block.get_mut(at..end), u32::try_from(bytes.len())) else {
            return false;
        };
        let (seconds, nanos) = (time.0 / Nanos::SECOND, time.0 % Nanos::SECOND);
        let [seconds, nanos] = [seconds, nanos].map(|n| u32::try_from(n).unwrap_or(u32::MAX));
        for (offset, word) in [(4, seconds), (8, nanos), (12, length), (16, length)] {
            put(place, offset, &word.to_ne_bytes());
        }
        put(place, 20, &libc::TP_STATUS_USER.to_ne_bytes());
        let [mac, net] = [Self::MAC, Self::MAC + 14].map(|n| u16::try_from(n).unwrap_or(0));
        put(place, 24, &mac.to_ne_bytes());
        put(place, 26, &net.to_ne_bytes());
        // Of sockaddr_ll: family, protocol as in the frame, interface, hardware type.
        put(place, HEADER, &u16::try_from(libc::AF_PACKET).unwrap_or(0).to_ne_bytes());
        put(place, HEADER + 2, bytes.get(12..14).unwrap_or_default());
        put(place, HEADER + 4, &INTERFACE.to_ne_bytes());
        put(place, HEADER + 8, &libc::ARPHRD_ETHER.to_ne_bytes());
        put(place, Self::MAC, bytes);

        if let Some(last) = block.get_mut(self.last..).filter(|_| self.frames > 0) {
            put(last, 0, &u32::try_from(at - self.last).unwrap_or(0).to_ne_bytes());
        }
        (self.last, self.at, self.frames) = (at, end, self.frames + 1);
        let first = u32::try_from(HEADER).unwrap_or(0);
        let written = u32::try_from(end).unwrap_or(0);
        let version = libc::tpacket_versions::TPACKET_V3 as u32;
        // Private memory, of which there is none, would begin where the first frame does.
        let words = [(0, version), (4, first), (PACKETS, self.frames), (FIRST, first), (LENGTH, written)];
        for (offset, word) in words {
            put(block, offset, &word.to_ne_bytes());
        }
        true
    }
}

#[cfg(feature = "generator")]
fn put(place: &mut [u8], at: usize, value: &[u8]) {
    if let Some(place) = place.get_mut(at..at + value.len()) {
        place.copy_from_slice(value);
    }
}

/// The link type of an interface's frames as a raw packet socket gives them, from its `ARPHRD_` number.
///
/// The interfaces without a header of their own begin with IP. Those whose header a raw socket doesn't show as any LINKTYPE
/// has it (InfiniBand, netlink, …) have none.
pub(crate) fn link_type(hardware: u16) -> Option<LinkType> {
    match Link::of_hardware(hardware) {
        Some(Link::Ethernet) => return Some(LinkType::ETHERNET),
        Some(Link::RawIp) => return Some(LinkType::RAW),
        Some(Link::Any) | None => {}
    }
    Some(match hardware {
        // LINKTYPE_IEEE802_11, _PRISM and _RADIOTAP, _CAN_SOCKETCAN.
        libc::ARPHRD_IEEE80211 => LinkType(105),
        libc::ARPHRD_IEEE80211_PRISM => LinkType(119),
        libc::ARPHRD_IEEE80211_RADIOTAP => LinkType(127),
        libc::ARPHRD_CAN => LinkType(227),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const READING: Reading = Reading { snaplen: u32::MAX, drop_duplicates: true };

    /// A frame to be laid out as the kernel does.
    #[derive(Clone)]
    struct Laid {
        bytes: Vec<u8>,
        original: u32,
        status: u32,
        tag: (u32, u16),
        hardware: u16,
        kind: u8,
    }

    fn laid(bytes: &[u8]) -> Laid {
        let original = u32::try_from(bytes.len()).unwrap();
        Laid { bytes: bytes.to_vec(), original, status: 1, tag: (0, 0), hardware: 1, kind: 0 }
    }

    /// A block as the kernel writes it: 48 bytes of header, frames aligned to 16 bytes, the last without a next.
    fn block(frames: &[Laid]) -> Vec<u8> {
        let mut block = vec![0; 48];
        let mut last = 0;
        for (number, frame) in frames.iter().enumerate() {
            let start = block.len();
            let put = |block: &mut Vec<u8>, at: usize, bytes: &[u8]| {
                block[start + at..start + at + bytes.len()].copy_from_slice(bytes);
            };
            let mac = 82;
            block.resize((start + mac + frame.bytes.len()).next_multiple_of(16), 0);
            let next = u32::try_from(block.len() - start).unwrap();
            put(&mut block, 0, &next.to_ne_bytes());
            put(&mut block, 4, &7_u32.to_ne_bytes());
            put(&mut block, 8, &u32::try_from(number).unwrap().to_ne_bytes());
            put(&mut block, 12, &u32::try_from(frame.bytes.len()).unwrap().to_ne_bytes());
            put(&mut block, 16, &frame.original.to_ne_bytes());
            put(&mut block, 20, &frame.status.to_ne_bytes());
            put(&mut block, 24, &u16::try_from(mac).unwrap().to_ne_bytes());
            put(&mut block, 32, &frame.tag.0.to_ne_bytes());
            put(&mut block, 36, &frame.tag.1.to_ne_bytes());
            put(&mut block, 52, &9_u32.to_ne_bytes());
            put(&mut block, 56, &frame.hardware.to_ne_bytes());
            put(&mut block, 58, &[frame.kind]);
            put(&mut block, mac, &frame.bytes);
            last = start;
        }
        if last > 0 {
            block[last..last + 4].fill(0);
        }
        let length = u32::try_from(block.len()).unwrap();
        block[8..12].copy_from_slice(&1_u32.to_ne_bytes());
        block[12..16].copy_from_slice(&u32::try_from(frames.len()).unwrap().to_ne_bytes());
        block[16..20].copy_from_slice(&48_u32.to_ne_bytes());
        block[20..24].copy_from_slice(&length.to_ne_bytes());
        block.resize(4096.max(block.len()), 0xee);
        block
    }

    fn walk(block: &[u8]) -> (Vec<Vec<u8>>, Uncounted) {
        let mut walk = Walk::new(block, READING);
        let mut seen = Vec::new();
        for frame in walk.by_ref() {
            let end = frame.offset as usize + frame.bytes.len();
            assert_eq!(&block[frame.offset as usize..end], frame.bytes);
            seen.push(frame.bytes.to_vec());
        }
        assert!(walk.next().is_none());
        (seen, walk.uncounted)
    }

    #[test]
    fn frames_with_all_that_the_kernel_says() {
        let tagged =
            Laid { status: 0x51 | 8, tag: (0xa005, 0x88a8), original: 900, kind: 4, ..laid(b"tagged") };
        let old =
            Laid { status: 0x11, tag: (0x0007, 0), ..laid(b"a kernel that doesn't say the tag's protocol") };
        let raw = Laid { hardware: libc::ARPHRD_NONE, ..laid(b"E...") };
        let block = block(&[laid(b"plain"), tagged, old, raw]);
        let frames: Vec<_> = Walk::new(&block, READING).collect();
        let tags: Vec<_> = frames.iter().map(|frame| frame.vlan).collect();
        let tag = |tpid, tci| Some(VlanTag { tpid, tci });
        assert_eq!(tags, [None, tag(0x88a8, 0xa005), tag(0x8100, 7), None]);
        let links: Vec<_> = frames.iter().map(|frame| frame.link_type).collect();
        assert_eq!(links, [LinkType::ETHERNET, LinkType::ETHERNET, LinkType::ETHERNET, LinkType::RAW]);
        let second = frames[1];
        assert_eq!((second.bytes, second.original_len, second.interface), (&b"tagged"[..], 900, 9));
        assert_eq!(second.timestamp, Nanos(7_000_000_001));
        assert_eq!(second.flags, FrameFlags { checksum_not_ready: true, outgoing: true });
        assert_eq!(frames[0].flags, FrameFlags::default());
        assert!(second.truncated() && !frames[0].truncated());
    }

    #[test]
    fn loopback_is_seen_once() {
        let lo = |kind| Laid { hardware: libc::ARPHRD_LOOPBACK, kind, ..laid(&[kind]) };
        let block = block(&[lo(4), lo(0), Laid { kind: 4, ..laid(b"sent on a wire") }, lo(4), lo(0)]);
        let (seen, uncounted) = walk(&block);
        assert_eq!(seen, [&[0][..], b"sent on a wire", &[0]]);
        assert_eq!(uncounted, Uncounted { duplicates: 2, unreadable: 0 });
        let all = Walk::new(&block, Reading { drop_duplicates: false, ..READING });
        assert_eq!(all.count(), 5);
    }

    #[test]
    fn snap_length_and_unknown_links() {
        let block = block(&[laid(b"0123456789"), Laid { hardware: 32, ..laid(b"infiniband") }, laid(b"012")]);
        let mut walk = Walk::new(&block, Reading { snaplen: 4, ..READING });
        let cut: Vec<_> = walk.by_ref().map(|frame| (frame.bytes, frame.original_len)).collect();
        assert_eq!(cut, [(&b"0123"[..], 10), (b"012", 3)]);
        assert_eq!(walk.uncounted.unreadable, 1);
    }

    #[test]
    fn empty_and_absurd_blocks() {
        assert_eq!(walk(&block(&[])), (vec![], Uncounted::default()));
        assert_eq!(walk(&[]).0.len(), 0);
        let (seen, uncounted) = walk(&[0xff; 256]);
        assert_eq!((seen.len(), uncounted.unreadable), (0, u64::from(u32::MAX)));
    }

    #[test]
    fn no_lie_reads_outside() {
        let frames = [laid(b"first"), laid(b"second, longer"), laid(b"third")];
        let block = block(&frames);
        let lies = [0, 1, 15, 47, 48, 49, 0x7fff, 0xffff, 0x7fff_ffff, 0xffff_fff0, u32::MAX];
        // Every word of the block and of all headers, every lie: no panic, and what is counted adds up.
        for at in (0..block.len().min(400)).step_by(4) {
            for lie in lies {
                let mut block = block.clone();
                block[at..at + 4].copy_from_slice(&u32::to_ne_bytes(lie));
                let claimed = u32::from_ne_bytes(block[12..16].try_into().unwrap());
                let mut walk = Walk::new(&block, READING);
                let seen = walk.by_ref().take(10_000).count() as u64;
                let uncounted = walk.uncounted;
                assert!(seen < 10_000, "a walk without end: {at} {lie}");
                assert_eq!(seen + uncounted.duplicates + uncounted.unreadable, u64::from(claimed));
            }
        }
        // Nor does a block that ends early.
        for end in 0..400 {
            walk(&block[..end]);
        }
    }
}
