//! A TCP connection between a client and a server: bytes of either side → frames with valid sequence numbers.

use anyhow::Result;

use super::{Capture, Random};

#[derive(Clone, Copy)]
struct End {
    address: [u8; 4],
    port: u16,
    next: u32,
}

const SYN: u8 = 0x02;
const ACK: u8 = 0x10;
const PSH: u8 = 0x08;
const FIN: u8 = 0x01;

/// Payload bytes of a segment, as on Ethernet with TCP timestamps.
const SEGMENT: usize = 1448;

pub(super) struct Connection {
    client: End,
    server: End,
}

#[derive(Clone, Copy, PartialEq)]
pub(super) enum From {
    Client,
    Server,
}

impl Connection {
    pub(super) fn new(number: u32, server_port: u16, random: &mut Random) -> Self {
        let [_, _, high, low] = number.to_be_bytes();
        let isn = |random: &mut Random| u32::try_from(random.next() >> 32).unwrap_or(0);
        Self {
            client: End { address: [10, 1, high, low], port: 40_000, next: isn(random) },
            server: End { address: [10, 2, 0, 1], port: server_port, next: isn(random) },
        }
    }

    pub(super) fn open(&mut self, capture: &mut Capture) -> Result<()> {
        self.segment(capture, From::Client, SYN, &[])?;
        self.segment(capture, From::Server, SYN | ACK, &[])?;
        self.ack(capture)
    }

    pub(super) fn close(&mut self, capture: &mut Capture) -> Result<()> {
        self.segment(capture, From::Client, FIN | ACK, &[])?;
        self.segment(capture, From::Server, FIN | ACK, &[])?;
        self.ack(capture)
    }

    /// Bytes in segments; the receiver acknowledges every second full one, as stacks do.
    pub(super) fn data(&mut self, capture: &mut Capture, from: From, bytes: &[u8]) -> Result<()> {
        for (n, part) in bytes.chunks(SEGMENT).enumerate() {
            let last = (n + 1) * SEGMENT >= bytes.len();
            self.segment(capture, from, if last { PSH | ACK } else { ACK }, part)?;
            if n % 2 == 1 && !last {
                let to = if from == From::Client { From::Server } else { From::Client };
                self.segment(capture, to, ACK, &[])?;
            }
        }
        Ok(())
    }

    /// The client acknowledges what came.
    pub(super) fn ack(&mut self, capture: &mut Capture) -> Result<()> {
        self.segment(capture, From::Client, ACK, &[])
    }

    fn segment(&mut self, capture: &mut Capture, from: From, flags: u8, payload: &[u8]) -> Result<()> {
        let (source, destination) = match from {
            From::Client => (self.client, self.server),
            From::Server => (self.server, self.client),
        };
        let mut frame = Vec::with_capacity(66 + payload.len());
        frame.extend([2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 0x08, 0x00]);
        let length = u16::try_from(20 + 32 + payload.len())?;
        frame.extend([0x45, 0]);
        frame.extend(length.to_be_bytes());
        frame.extend([0, 0, 0x40, 0, 64, 6, 0, 0]);
        frame.extend(source.address);
        frame.extend(destination.address);
        frame.extend(source.port.to_be_bytes());
        frame.extend(destination.port.to_be_bytes());
        frame.extend(source.next.to_be_bytes());
        frame.extend(if flags & ACK == 0 { [0; 4] } else { destination.next.to_be_bytes() });
        frame.extend([0x80, flags, 0xff, 0xff, 0, 0, 0, 0]);
        // Two NOPs and the time stamp option, as real stacks send it.
        frame.extend([1, 1, 8, 10, 0, 0, 0, 1, 0, 0, 0, 1]);
        frame.extend(payload);
        let used = u32::try_from(payload.len())? + u32::from(flags & (SYN | FIN) != 0);
        let sender = match from {
            From::Client => &mut self.client,
            From::Server => &mut self.server,
        };
        sender.next = sender.next.wrapping_add(used);
        capture.frame(&frame)
    }
}
