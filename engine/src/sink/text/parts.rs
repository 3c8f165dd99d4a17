//! The fields of an event, sorted by the place that they have on a line.

use sniff_x_proto::event::{Arena, Event, Key, Suffix, ValueRef};

use super::super::address::write_number;
use super::super::human::write_clean;
use super::columns::{Column, Shown};

/// The fields that have a place of their own.
pub(super) struct Parts<'a> {
    arena: &'a Arena,
    event: &'a Event,
    pub(super) state: Option<&'a [u8]>,
    operation: Option<&'a [u8]>,
    pub(super) namespace: Option<&'a [u8]>,
    pub(super) user: Option<&'a [u8]>,
    response_size: Option<u64>,
    pub(super) text: Option<&'a [u8]>,
    pub(super) method: Option<&'a [u8]>,
    pub(super) path: Option<&'a [u8]>,
    pub(super) query: Option<&'a [u8]>,
    pub(super) status_code: Option<u64>,
    pub(super) full_length: Option<u64>,
    pub(super) notice: Option<&'a [u8]>,
    pub(super) has_parameters: bool,
    pub(super) rows: Option<u64>,
    affected: Option<u64>,
    pub(super) code: Option<&'a [u8]>,
    sqlstate: Option<&'a [u8]>,
    pub(super) message: Option<&'a [u8]>,
    pub(super) gap_bytes: Option<u64>,
    pub(super) end: Option<&'a [u8]>,
    pub(super) to_server: DirectionTotals<'a>,
    pub(super) to_client: DirectionTotals<'a>,
}

/// The sums of one direction.
#[derive(Default)]
pub(super) struct DirectionTotals<'a> {
    pub(super) bytes: Option<u64>,
    pub(super) packets: Option<u64>,
    pub(super) gap_bytes: Option<u64>,
    pub(super) retransmitted_bytes: Option<u64>,
    pub(super) out_of_order: Option<u64>,
    pub(super) conflicts: Option<u64>,
    pub(super) file: Option<&'a [u8]>,
}

/// Keys that [`Parts`] places.
const PLACED: &[Key] = &[
    Key::SESSION_STATE,
    Key::DB_OPERATION_NAME,
    Key::DB_QUERY_TEXT,
    Key::HTTP_METHOD,
    Key::URL_PATH,
    Key::URL_QUERY,
    Key::HTTP_STATUS_CODE,
    Key::TEXT_LENGTH,
    Key::NOTICE,
    Key::DB_QUERY_PARAMETER,
    Key::DB_RETURNED_ROWS,
    Key::DB_AFFECTED_ROWS,
    Key::DB_STATUS_CODE,
    Key::DB_SQLSTATE,
    Key::ERROR_MESSAGE,
    Key::GAP_BYTES,
    Key::TCP_END,
    Key::TCP_DIRECTION,
    Key::TCP_CONTENT,
    Key::TO_SERVER_BYTES,
    Key::TO_SERVER_PACKETS,
    Key::TO_SERVER_GAP_BYTES,
    Key::TO_SERVER_RETRANSMITTED_BYTES,
    Key::TO_SERVER_OUT_OF_ORDER_PACKETS,
    Key::TO_SERVER_OVERLAP_CONFLICTS,
    Key::TO_SERVER_FILE,
    Key::TO_CLIENT_BYTES,
    Key::TO_CLIENT_PACKETS,
    Key::TO_CLIENT_GAP_BYTES,
    Key::TO_CLIENT_RETRANSMITTED_BYTES,
    Key::TO_CLIENT_OUT_OF_ORDER_PACKETS,
    Key::TO_CLIENT_OVERLAP_CONFLICTS,
    Key::TO_CLIENT_FILE,
];

/// Keys that say too little to people to stand on a line.
const LEFT_OUT: &[Key] = &[
    Key::DB_COLUMNS,
    Key::DB_STATEMENT_ID,
    Key::DB_RESPONSE_SIZE,
    Key::REDIS_REPLY_TYPE,
    Key::NETWORK_PROTOCOL_VERSION,
    Key::HTTP_FIRST_BYTE,
];

impl<'a> Parts<'a> {
    pub(super) fn of(arena: &'a Arena, event: &'a Event) -> Self {
        let find = |key: Key| arena.fields(event).find(|f| f.0 == key).map(|f| f.2);
        let text = |key| find(key).and_then(as_text);
        let number = |key| find(key).and_then(as_number);
        let is_summary = find(Key::TO_SERVER_BYTES).is_some() || find(Key::TO_CLIENT_BYTES).is_some();
        let direction = |keys: [Key; 7]| {
            let [bytes, packets, gap, retransmitted, out_of_order, conflicts, file] = keys;
            DirectionTotals {
                bytes: number(bytes),
                packets: number(packets),
                gap_bytes: number(gap),
                retransmitted_bytes: number(retransmitted),
                out_of_order: number(out_of_order),
                conflicts: number(conflicts),
                file: text(file),
            }
        };
        let (mut to_server, mut to_client) = (DirectionTotals::default(), DirectionTotals::default());
        if is_summary {
            to_server = direction([
                Key::TO_SERVER_BYTES,
                Key::TO_SERVER_PACKETS,
                Key::TO_SERVER_GAP_BYTES,
                Key::TO_SERVER_RETRANSMITTED_BYTES,
                Key::TO_SERVER_OUT_OF_ORDER_PACKETS,
                Key::TO_SERVER_OVERLAP_CONFLICTS,
                Key::TO_SERVER_FILE,
            ]);
            to_client = direction([
                Key::TO_CLIENT_BYTES,
                Key::TO_CLIENT_PACKETS,
                Key::TO_CLIENT_GAP_BYTES,
                Key::TO_CLIENT_RETRANSMITTED_BYTES,
                Key::TO_CLIENT_OUT_OF_ORDER_PACKETS,
                Key::TO_CLIENT_OVERLAP_CONFLICTS,
                Key::TO_CLIENT_FILE,
            ]);
        }
        Self {
            arena,
            event,
            state: text(Key::SESSION_STATE),
            operation: text(Key::DB_OPERATION_NAME).or_else(|| text(Key::TCP_DIRECTION)),
            namespace: text(Key::DB_NAMESPACE),
            user: text(Key::DB_USER),
            response_size: number(Key::DB_RESPONSE_SIZE).or_else(|| number(Key::HTTP_RESPONSE_BODY_SIZE)),
            text: text(Key::DB_QUERY_TEXT).or_else(|| text(Key::TCP_CONTENT)),
            method: text(Key::HTTP_METHOD),
            path: text(Key::URL_PATH),
            query: text(Key::URL_QUERY),
            status_code: number(Key::HTTP_STATUS_CODE),
            full_length: number(Key::TEXT_LENGTH),
            notice: text(Key::NOTICE),
            has_parameters: find(Key::DB_QUERY_PARAMETER).is_some(),
            rows: number(Key::DB_RETURNED_ROWS),
            affected: number(Key::DB_AFFECTED_ROWS),
            code: text(Key::DB_STATUS_CODE),
            sqlstate: text(Key::DB_SQLSTATE),
            message: text(Key::ERROR_MESSAGE),
            gap_bytes: number(Key::GAP_BYTES),
            end: text(Key::TCP_END),
            to_server,
            to_client,
        }
    }

    /// The operation or method, or what a session came to.
    pub(super) fn operation(&self) -> Option<&'a [u8]> {
        self.method.or(self.operation).or(self.state).or(self.end)
    }

    /// Bytes of the response; of a summary those to the client.
    pub(super) fn size(&self) -> Option<u64> {
        self.response_size.or(self.to_client.bytes)
    }

    /// The operation, unless the text begins with it: `PREPARE` before `SELECT ?`, nothing before `select 1` of a SELECT.
    pub(super) fn operation_to_show(&self) -> Option<&'a [u8]> {
        let operation = self.operation?;
        let start = self.text.and_then(|t| t.trim_ascii_start().get(..operation.len()));
        start.is_none_or(|s| !s.eq_ignore_ascii_case(operation)).then_some(operation)
    }

    /// Rows that were changed, unless rows came back and none was.
    pub(super) fn affected_to_show(&self) -> Option<u64> {
        self.affected.filter(|&n| n > 0 || self.rows.is_none())
    }

    pub(super) fn parameters(&self) -> impl Iterator<Item = ValueRef<'a>> {
        self.arena.fields(self.event).filter(|f| f.0 == Key::DB_QUERY_PARAMETER).map(|f| f.2)
    }

    /// `error 1064 (42000): You have an error in your SQL syntax`.
    pub(super) fn write_error(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"error");
        if let Some(code) = self.code {
            out.push(b' ');
            write_clean(code, out);
        }
        if let Some(sqlstate) = self.sqlstate {
            out.extend_from_slice(b" (");
            write_clean(sqlstate, out);
            out.push(b')');
        }
        if let Some(message) = self.message {
            out.extend_from_slice(b": ");
            write_clean(message, out);
        }
    }
}

/// Whether a field is shown as `label=value`. What repeats the protocol's name, and counts of zero, are not.
pub(super) fn is_labelled(field: &(Key, Suffix<'_>, ValueRef<'_>), protocol: &str) -> bool {
    let (key, _, value) = *field;
    let tells = match value {
        ValueRef::Text(text) => key != Key::DB_SYSTEM_NAME || text != protocol.as_bytes(),
        ValueRef::U64(0) | ValueRef::Bool(false) => false,
        _ => true,
    };
    tells && !PLACED.contains(&key) && !LEFT_OUT.contains(&key)
}

/// Whether one of the columns that are shown says it.
pub(super) fn has_column(field: &(Key, Suffix<'_>, ValueRef<'_>), shown: Shown) -> bool {
    let column = match field.0 {
        Key::DB_NAMESPACE => Column::Db,
        Key::DB_USER => Column::User,
        Key::HTTP_RESPONSE_BODY_SIZE => Column::Size,
        _ => return false,
    };
    shown.has(column)
}

/// A key's name without the prefixes that all have.
pub(super) fn write_label(name: &str, suffix: Suffix<'_>, out: &mut Vec<u8>) {
    let name = name.strip_prefix("sniffx.").unwrap_or(name);
    let name = name.strip_prefix("db.").unwrap_or(name);
    write_clean(name.as_bytes(), out);
    match suffix {
        Suffix::None => {}
        Suffix::Index(index) => write_number(index, out),
        Suffix::Name(name) => write_clean(name, out),
    }
}

pub(super) fn write_value(value: ValueRef<'_>, out: &mut Vec<u8>) {
    match value {
        ValueRef::U64(v) => write_number(v, out),
        ValueRef::I64(v) => write_number(v, out),
        ValueRef::F64(v) => out.extend_from_slice(v.to_string().as_bytes()),
        ValueRef::Bool(v) => out.extend_from_slice(if v { b"yes" } else { b"no" }),
        ValueRef::Null => out.extend_from_slice(b"NULL"),
        ValueRef::Text(v) => write_clean(v, out),
    }
}

const fn as_text(value: ValueRef<'_>) -> Option<&[u8]> {
    match value {
        ValueRef::Text(text) => Some(text),
        _ => None,
    }
}

const fn as_number(value: ValueRef<'_>) -> Option<u64> {
    match value {
        ValueRef::U64(number) => Some(number),
        _ => None,
    }
}
