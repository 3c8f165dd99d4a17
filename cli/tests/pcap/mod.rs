//! Small capture files, made byte by byte.

const CLIENT: (u8, u16) = (1, 50_000);
const SERVER: (u8, u16) = (2, 4000);
const SYN: u8 = 0x02;
const SYN_ACK: u8 = 0x12;
const PSH_ACK: u8 = 0x18;

/// A pcap file with one connection from 10.0.0.1:50000 to 10.0.0.2:4000: SYN, SYN-ACK, and what each side says (`true`: the client). Its
/// frames are a millisecond apart, the first at 2026-03-01T10:00:00Z.
pub(crate) fn file(talk: &[(bool, &[u8])]) -> Vec<u8> {
    let (mut client, mut server) = (1000, 2000);
    let mut frames = vec![
        frame(CLIENT, SERVER, client, 0, SYN, b""),
        frame(SERVER, CLIENT, server, client + 1, SYN_ACK, b""),
    ];
    (client, server) = (client + 1, server + 1);
    for &(from_client, bytes) in talk {
        let len = u32::try_from(bytes.len()).unwrap();
        if from_client {
            frames.push(frame(CLIENT, SERVER, client, server, PSH_ACK, bytes));
            client += len;
        } else {
            frames.push(frame(SERVER, CLIENT, server, client, PSH_ACK, bytes));
            server += len;
        }
    }
    let mut file = Vec::new();
    for word in [0xa1b2_c3d4_u32, 0x0004_0002, 0, 0, 65_535, 1] {
        file.extend(word.to_le_bytes());
    }
    for (i, frame) in (0..).zip(frames) {
        let len = u32::try_from(frame.len()).unwrap();
        for word in [1_772_359_200, i * 1000, len, len] {
            file.extend(u32::to_le_bytes(word));
        }
        file.extend(frame);
    }
    file
}

/// Ethernet, IPv4 and TCP, without checksums.
fn frame(from: (u8, u16), to: (u8, u16), seq: u32, ack: u32, flags: u8, payload: &[u8]) -> Vec<u8> {
    let [high, low] = u16::try_from(40 + payload.len()).unwrap().to_be_bytes();
    let mut frame = vec![2, 0, 0, 0, 0, to.0, 2, 0, 0, 0, 0, from.0, 8, 0];
    frame.extend([0x45, 0, high, low, 0, 0, 0x40, 0, 64, 6, 0, 0, 10, 0, 0, from.0, 10, 0, 0, to.0]);
    frame.extend([from.1, to.1].iter().flat_map(|port| port.to_be_bytes()));
    frame.extend(seq.to_be_bytes());
    frame.extend(ack.to_be_bytes());
    frame.extend([0x50, flags, 0xff, 0xff, 0, 0, 0, 0]);
    frame.extend(payload);
    frame
}
