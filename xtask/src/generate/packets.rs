//! MySQL packets of a server 8.0 and its client: as many of them as sysbench's load needs.
//!
//! Source: <https://dev.mysql.com/doc/dev/mysql-server/latest/PAGE_PROTOCOL.html>.

/// A MySQL packet: three bytes of length, the sequence number, the payload.
pub(super) fn packet(sequence: u8, payload: &[u8]) -> Vec<u8> {
    let [a, b, c, _] = u32::try_from(payload.len()).unwrap_or(0).to_le_bytes();
    let mut packet = vec![a, b, c, sequence];
    packet.extend(payload);
    packet
}

/// CLIENT_DEPRECATE_EOF, PROTOCOL_41, SECURE_CONNECTION, PLUGIN_AUTH, CONNECT_WITH_DB, TRANSACTIONS.
const CAPABILITIES: u32 = 0x0100_0000 | 0x200 | 0x8000 | 0x8_0000 | 0x8 | 0x2000;

pub(super) fn greeting() -> Vec<u8> {
    let [a, b, c, d] = CAPABILITIES.to_le_bytes();
    let mut greeting = b"\x0a8.0.36-bench\0\x01\0\0\0abcdefgh\0".to_vec();
    greeting.extend([a, b, 45, 2, 0, c, d, 21]);
    greeting.extend([0; 10]);
    greeting.extend(b"ijklmnopqrst\0mysql_native_password\0");
    packet(0, &greeting)
}

pub(super) fn login() -> Vec<u8> {
    let mut login = CAPABILITIES.to_le_bytes().to_vec();
    login.extend(0x0100_0000_u32.to_le_bytes());
    login.push(45);
    login.extend([0; 23]);
    login.extend(b"bench\0\x14");
    login.extend([0x55; 20]);
    login.extend(b"sbtest\0mysql_native_password\0");
    packet(1, &login)
}

pub(super) fn ok(sequence: u8, affected: u8) -> Vec<u8> {
    packet(sequence, &[0, affected, 0, 2, 0, 0, 0])
}

/// Type bytes of parameters and columns.
pub(super) const LONG: u8 = 0x03;
pub(super) const NEWDECIMAL: u8 = 0xf6;
pub(super) const STRING: u8 = 0xfe;

/// The definition of a column or a parameter.
fn definition(name: &str, kind: u8) -> Vec<u8> {
    let mut column = Vec::new();
    for text in ["def", "sbtest", "sbtest1", "sbtest1", name, name] {
        text_value(text.as_bytes(), &mut column);
    }
    column.extend([0x0c, 45, 0, 0xe0, 1, 0, 0, kind, 1, 0, 0, 0, 0]);
    column
}

/// A text or a decimal, with its length in front; shorter than 251 bytes.
pub(super) fn text_value(text: &[u8], to: &mut Vec<u8>) {
    to.push(u8::try_from(text.len()).unwrap_or(0));
    to.extend(text);
}

/// A statement was prepared: its id, the definitions of its parameters and of its column.
pub(super) fn prepared(id: u32, parameters: usize, column: Option<u8>) -> Vec<u8> {
    let mut head = vec![0];
    head.extend(id.to_le_bytes());
    head.extend(u16::from(column.is_some()).to_le_bytes());
    head.extend(u16::try_from(parameters).unwrap_or(0).to_le_bytes());
    head.extend([0; 3]);
    let mut response = packet(1, &head);
    let definitions =
        (0..parameters).map(|_| definition("?", STRING)).chain(column.map(|kind| definition("c", kind)));
    for (definition, sequence) in definitions.zip(2..) {
        response.extend(packet(sequence, &definition));
    }
    response
}

/// A result set of one column, in text or binary, without EOF packets.
pub(super) fn rows(kind: u8, binary: bool, values: impl Iterator<Item = Vec<u8>>) -> Vec<u8> {
    let mut response = packet(1, &[1]);
    response.extend(packet(2, &definition("c", kind)));
    let mut sequence = 3_u8;
    for value in values {
        // A binary row begins with a zero and the bitmap of NULLs.
        let mut row = if binary { vec![0, 0] } else { Vec::new() };
        text_value(&value, &mut row);
        response.extend(packet(sequence, &row));
        sequence = sequence.wrapping_add(1);
    }
    response.extend(packet(sequence, &[0xfe, 0, 0, 2, 0, 0, 0]));
    response
}
