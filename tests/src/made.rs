//! Capture files made byte by byte: TCP connections in which each side says what a test wants, cut into segments as it wants.

use std::path::Path;

use crate::frames::{self, Timed};

/// A connection in the making.
pub struct Talk {
    client: u16,
    server: u16,
    next: [u32; 2],
    time: u64,
    frames: Vec<Timed>,
}

/// Who speaks.
#[derive(Clone, Copy)]
pub enum From {
    /// The client.
    Client,
    /// The server.
    Server,
}

const SYN: u8 = 0x02;
const SYN_ACK: u8 = 0x12;
const ACK: u8 = 0x18;

impl Talk {
    /// A connection to a port of the server: 10.0.0.1 to 10.0.0.2. Without `begins` the capture joins in the middle.
    #[must_use]
    pub fn new(client: u16, server: u16, begins: bool) -> Self {
        let time = 1_772_359_200_000_000_000 + u64::from(client) * 1_000_000_000;
        let mut talk = Self { client, server, next: [1000, 2000], time, frames: Vec::new() };
        if begins {
            talk.frame(From::Client, SYN, b"");
            talk.next[0] += 1;
            talk.frame(From::Server, SYN_ACK, b"");
            talk.next[1] += 1;
        }
        talk
    }

    /// One side says something, in segments of at most `size` bytes.
    #[must_use]
    pub fn says_in(mut self, from: From, bytes: &[u8], size: usize) -> Self {
        for part in bytes.chunks(size) {
            self.frame(from, ACK, part);
            self.skip(from, part.len());
        }
        self
    }

    /// One side says something in one segment.
    #[must_use]
    pub fn says(self, from: From, bytes: &[u8]) -> Self {
        self.says_in(from, bytes, 1400)
    }

    /// One side says so many bytes that the capture has not; the other one acknowledges what it got.
    #[must_use]
    pub fn loses(mut self, from: From, bytes: usize) -> Self {
        self.skip(from, bytes);
        self.time += 500_000_000;
        self
    }

    fn skip(&mut self, from: From, bytes: usize) {
        let next = &mut self.next[from as usize];
        *next = next.wrapping_add(u32::try_from(bytes).unwrap());
    }

    /// Ethernet, IPv4 and TCP, without checksums.
    fn frame(&mut self, from: From, flags: u8, payload: &[u8]) {
        let [high, low] = u16::try_from(40 + payload.len()).unwrap().to_be_bytes();
        let (me, other) = (from as usize, 1 - from as usize);
        let ports = [self.client, self.server];
        let host = |side: usize| u8::try_from(side + 1).unwrap();
        let mut bytes = vec![2, 0, 0, 0, 0, host(other), 2, 0, 0, 0, 0, host(me), 8, 0];
        bytes.extend([
            0x45,
            0,
            high,
            low,
            0,
            0,
            0x40,
            0,
            64,
            6,
            0,
            0,
            10,
            0,
            0,
            host(me),
            10,
            0,
            0,
            host(other),
        ]);
        bytes.extend([ports[me], ports[other]].iter().flat_map(|port| port.to_be_bytes()));
        bytes.extend([self.next[me], self.next[other]].iter().flat_map(|number| number.to_be_bytes()));
        bytes.extend([0x50, flags, 0xff, 0xff, 0, 0, 0, 0]);
        bytes.extend(payload);
        self.frames.push(Timed { time: self.time, bytes });
        self.time += 1_000_000;
    }
}

/// Writes the connections' frames to a pcap file, one connection behind the other.
pub fn write(path: &Path, talks: &[Talk]) {
    let frames: Vec<_> = talks.iter().flat_map(|talk| talk.frames.iter().cloned()).collect();
    frames::write(path, 1, &frames);
}
