//! The one table of event keys.

/// The schema's version: raised when a key changes its name, type or meaning.
pub const SCHEMA_VERSION: &str = "1.0";

/// The type of a key's values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ValueType {
    /// A string.
    Text,
    /// A whole number.
    Integer,
    /// A number.
    Float,
    /// `true` or `false`.
    Boolean,
}

/// What is known of a key.
#[derive(Clone, Copy, Debug)]
pub struct KeyInfo {
    /// The name in JSON. A name that ends in a dot is a family: a suffix follows.
    pub name: &'static str,
    /// The type of its values.
    pub value_type: ValueType,
    /// The unit, empty where there is none.
    pub unit: &'static str,
    /// One line for the documentation.
    pub about: &'static str,
}

/// A key of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key(u16);

macro_rules! keys {
    ($($(#[doc = $doc:literal])+ $id:ident = $name:literal: $ty:ident $unit:literal;)+) => {
        #[allow(non_camel_case_types, clippy::upper_case_acronyms, reason = "one variant a key, named as its constant")]
        #[repr(u16)]
        enum Index { $($id),+ }

        impl Key {
            $($(#[doc = $doc])+ pub const $id: Self = Self(Index::$id as u16);)+
        }

        const TABLE: &[KeyInfo] = &[
            $(KeyInfo { name: $name, value_type: ValueType::$ty, unit: $unit, about: concat!($($doc),+) }),+
        ];
    };
}

keys! {
    // Every event has these; they are written from the head, in this order.
    /// When the request, message or connection began: RFC 3339 with nanoseconds, UTC.
    TIMESTAMP = "timestamp": Text "";
    /// The plugin that made the event.
    PROTOCOL = "protocol": Text "";
    /// `exchange`, `message`, `session`, `notice` or `summary`.
    KIND = "sniffx.kind": Text "";
    /// The client's address.
    CLIENT_ADDRESS = "client.address": Text "";
    /// The client's port.
    CLIENT_PORT = "client.port": Integer "";
    /// The server's address.
    SERVER_ADDRESS = "server.address": Text "";
    /// The server's port.
    SERVER_PORT = "server.port": Integer "";
    /// From the request's first byte to the response's last, as captured.
    DURATION = "duration_ns": Integer "ns";
    /// `ok`, `error` or `incomplete`.
    STATUS = "status": Text "";
    /// Why the event is incomplete: `gap`, `midstream`, `truncated`, `limit`, `timeout`, `evicted`, `eof` or `malformed`.
    INCOMPLETE_REASON = "sniffx.incomplete.reason": Text "";

    // Any protocol.
    /// The client's address as a proxy in front of the server tells it (PROXY protocol); `client.address` is then the proxy.
    PROXIED_CLIENT_ADDRESS = "sniffx.proxied.client.address": Text "";
    /// The client's port as a proxy tells it.
    PROXIED_CLIENT_PORT = "sniffx.proxied.client.port": Integer "";
    /// Bytes missing in what the event tells of.
    GAP_BYTES = "sniffx.gap_bytes": Integer "By";
    /// Length of a text before it was cut at `--max-text`.
    TEXT_LENGTH = "sniffx.text.length": Integer "By";
    /// What is odd, for people.
    NOTICE = "sniffx.notice": Text "";
    /// What happened in a session: `connected`, `encrypted`, `rejected`, …
    SESSION_STATE = "sniffx.session.state": Text "";
    /// The error's text as the server sent it.
    ERROR_MESSAGE = "error.message": Text "";

    // Databases.
    /// The database product: `mysql`, `mariadb`, …
    DB_SYSTEM_NAME = "db.system.name": Text "";
    /// The database in use.
    DB_NAMESPACE = "db.namespace": Text "";
    /// What is done: `SELECT`, `PREPARE`, `PING`, …
    DB_OPERATION_NAME = "db.operation.name": Text "";
    /// The statement as it was sent.
    DB_QUERY_TEXT = "db.query.text": Text "";
    /// A parameter of a prepared statement, by its number from 0; `null` for NULL. Rows of a bulk execution follow one another.
    DB_QUERY_PARAMETER = "db.query.parameter.": Text "";
    /// Rows that the server returned.
    DB_RETURNED_ROWS = "db.response.returned_rows": Integer "{row}";
    /// The error's code.
    DB_STATUS_CODE = "db.response.status_code": Text "";
    /// SQLSTATE of an error.
    DB_SQLSTATE = "sniffx.db.sqlstate": Text "";
    /// Rows that the statement changed.
    DB_AFFECTED_ROWS = "sniffx.db.affected_rows": Integer "{row}";
    /// The id that the server gave the last inserted row.
    DB_LAST_INSERT_ID = "sniffx.db.last_insert_id": Integer "";
    /// Columns of a result set.
    DB_COLUMNS = "sniffx.db.columns": Integer "{column}";
    /// Which result of a statement that has several, from 0.
    DB_RESULT_INDEX = "sniffx.db.result_index": Integer "";
    /// Warnings that the server counted.
    DB_WARNINGS = "sniffx.db.warnings": Integer "{warning}";
    /// The prepared statement's id.
    DB_STATEMENT_ID = "sniffx.db.statement_id": Integer "";
    /// The user who logs in.
    DB_USER = "sniffx.db.user": Text "";
    /// The server's version as it says.
    DB_SERVER_VERSION = "sniffx.db.server_version": Text "";
    /// The server's number of the connection.
    DB_CONNECTION_ID = "sniffx.db.connection_id": Integer "";
    /// Bytes of the response, headers included.
    DB_RESPONSE_SIZE = "sniffx.db.response.size": Integer "By";
    /// The authentication method.
    DB_AUTH_METHOD = "sniffx.db.auth_method": Text "";
    /// How what follows the login is compressed: `zlib` or `zstd`.
    DB_COMPRESSION = "sniffx.db.compression": Text "";
    /// The collection or table that the operation is about.
    DB_COLLECTION_NAME = "db.collection.name": Text "";
    /// Rows of parameters that one execution carries.
    DB_BATCH_SIZE = "db.operation.batch.size": Integer "{row}";
    /// The number that a MySQL command carries: the connection to kill, the option to set, the rows to fetch, the parameter that data is for.
    MYSQL_ARGUMENT = "sniffx.mysql.argument": Integer "";
    /// An attribute of a query, by its name; `null` for NULL.
    MYSQL_ATTRIBUTE = "sniffx.mysql.attribute.": Text "";
    /// Bytes of a parameter that were sent ahead of the execution.
    MYSQL_LONG_DATA_SIZE = "sniffx.mysql.long_data.size": Integer "By";
    /// Bytes of a local file that the client sent to the server.
    MYSQL_INFILE_SIZE = "sniffx.mysql.infile.size": Integer "By";
    /// Packets of a replication stream.
    MYSQL_BINLOG_EVENTS = "sniffx.mysql.binlog.events": Integer "{event}";

    // HTTP.
    /// The request's method.
    HTTP_METHOD = "http.request.method": Text "";
    /// The path of the request's target.
    URL_PATH = "url.path": Text "";
    /// What stands behind the question mark of the request's target.
    URL_QUERY = "url.query": Text "";
    /// The host that the request is meant for, as the client named it.
    HTTP_HOST = "sniffx.http.host": Text "";
    /// The client program as it names itself.
    USER_AGENT = "user_agent.original": Text "";
    /// The protocol's version: `1.1`.
    NETWORK_PROTOCOL_VERSION = "network.protocol.version": Text "";
    /// A header field of the request, by its name in lower case.
    HTTP_REQUEST_HEADER = "http.request.header.": Text "";
    /// Bytes of the request's body, as sent, without the lengths of its chunks.
    HTTP_REQUEST_BODY_SIZE = "http.request.body.size": Integer "By";
    /// The beginning of the request's body, decompressed.
    HTTP_REQUEST_BODY = "sniffx.http.request.body": Text "";
    /// The response's status code.
    HTTP_STATUS_CODE = "http.response.status_code": Integer "";
    /// Bytes of the response's body, as sent, without the lengths of its chunks.
    HTTP_RESPONSE_BODY_SIZE = "http.response.body.size": Integer "By";
    /// The beginning of the response's body, decompressed.
    HTTP_RESPONSE_BODY = "sniffx.http.response.body": Text "";
    /// From the request's first byte to the response's first.
    HTTP_FIRST_BYTE = "sniffx.http.first_byte_ns": Integer "ns";
    /// A header field of the response, by its name in lower case.
    HTTP_RESPONSE_HEADER = "http.response.header.": Text "";
    /// Server-sent events with data in the response.
    HTTP_EVENTS = "sniffx.http.events": Integer "{event}";
    /// WebSocket frames to the server.
    HTTP_TO_SERVER_FRAMES = "sniffx.http.to_server.frames": Integer "{frame}";
    /// Bytes in WebSocket frames to the server.
    HTTP_TO_SERVER_FRAME_BYTES = "sniffx.http.to_server.frame_bytes": Integer "By";
    /// WebSocket frames to the client.
    HTTP_TO_CLIENT_FRAMES = "sniffx.http.to_client.frames": Integer "{frame}";
    /// Bytes in WebSocket frames to the client.
    HTTP_TO_CLIENT_FRAME_BYTES = "sniffx.http.to_client.frame_bytes": Integer "By";

    // Redis.
    /// What a reply is: `status`, `error`, `integer`, `string`, `nil`, `array`, `map`, `set`, `push`, `double`, `boolean` or `big number`.
    REDIS_REPLY_TYPE = "sniffx.redis.reply.type": Text "";
    /// Values in a reply that is an array, a set or a map.
    REDIS_REPLY_COUNT = "sniffx.redis.reply.count": Integer "{value}";
    /// The beginning of a reply's text; the values of an array separated by spaces.
    REDIS_REPLY = "sniffx.redis.reply": Text "";
    /// Bytes of the copy of all data that a replica got.
    REDIS_COPY_SIZE = "sniffx.redis.copy.size": Integer "By";
    /// Bytes of the changes that a replica got behind it.
    REDIS_CHANGES_SIZE = "sniffx.redis.changes.size": Integer "By";
    /// Commands among these changes.
    REDIS_CHANGES = "sniffx.redis.changes": Integer "{command}";

    // The tcp plugin.
    /// How the connection ended: `fin`, `rst`, `reused`, `idle`, `evicted` or `eof`.
    TCP_END = "sniffx.tcp.end": Text "";
    /// The connection was joined in the middle.
    TCP_MIDSTREAM = "sniffx.tcp.midstream": Boolean "";
    /// From the SYN to the SYN-ACK: a round trip between here and the server.
    TCP_SYN_TO_SYN_ACK = "sniffx.tcp.syn_to_syn_ack_ns": Integer "ns";
    /// From the SYN-ACK to the segment that acknowledges it: a round trip between here and the client.
    TCP_SYN_ACK_TO_ACK = "sniffx.tcp.syn_ack_to_ack_ns": Integer "ns";
    /// With `--content`: which way the bytes go, `to_server` or `to_client`.
    TCP_DIRECTION = "sniffx.tcp.direction": Text "";
    /// With `--content`: the bytes, as text or in hexadecimal.
    TCP_CONTENT = "sniffx.tcp.content": Text "";
    /// Bytes delivered in order to the server.
    TO_SERVER_BYTES = "sniffx.to_server.bytes": Integer "By";
    /// Segments to the server.
    TO_SERVER_PACKETS = "sniffx.to_server.packets": Integer "{packet}";
    /// Bytes to the server that were never seen.
    TO_SERVER_GAP_BYTES = "sniffx.to_server.gap_bytes": Integer "By";
    /// Payload bytes to the server that had been seen before.
    TO_SERVER_RETRANSMITTED_BYTES = "sniffx.to_server.retransmitted_bytes": Integer "By";
    /// Segments to the server that came after a hole.
    TO_SERVER_OUT_OF_ORDER_PACKETS = "sniffx.to_server.out_of_order_packets": Integer "{packet}";
    /// Segments to the server whose bytes contradict those seen first.
    TO_SERVER_OVERLAP_CONFLICTS = "sniffx.to_server.overlap_conflicts": Integer "{packet}";
    /// How often the server took nothing more: it told a window of zero.
    TO_SERVER_WINDOW_STALLS = "sniffx.to_server.window_stalls": Integer "{stall}";
    /// For how long it took nothing, all stalls together.
    TO_SERVER_STALLED = "sniffx.to_server.stalled_ns": Integer "ns";
    /// The file that holds the bytes to the server.
    TO_SERVER_FILE = "sniffx.to_server.file": Text "";
    /// Bytes delivered in order to the client.
    TO_CLIENT_BYTES = "sniffx.to_client.bytes": Integer "By";
    /// Segments to the client.
    TO_CLIENT_PACKETS = "sniffx.to_client.packets": Integer "{packet}";
    /// Bytes to the client that were never seen.
    TO_CLIENT_GAP_BYTES = "sniffx.to_client.gap_bytes": Integer "By";
    /// Payload bytes to the client that had been seen before.
    TO_CLIENT_RETRANSMITTED_BYTES = "sniffx.to_client.retransmitted_bytes": Integer "By";
    /// Segments to the client that came after a hole.
    TO_CLIENT_OUT_OF_ORDER_PACKETS = "sniffx.to_client.out_of_order_packets": Integer "{packet}";
    /// Segments to the client whose bytes contradict those seen first.
    TO_CLIENT_OVERLAP_CONFLICTS = "sniffx.to_client.overlap_conflicts": Integer "{packet}";
    /// How often the client took nothing more: it told a window of zero.
    TO_CLIENT_WINDOW_STALLS = "sniffx.to_client.window_stalls": Integer "{stall}";
    /// For how long it took nothing, all stalls together.
    TO_CLIENT_STALLED = "sniffx.to_client.stalled_ns": Integer "ns";
    /// The file that holds the bytes to the client.
    TO_CLIENT_FILE = "sniffx.to_client.file": Text "";
}

/// All keys of a run: the static table, and what external plugins add when they are loaded.
#[derive(Clone, Debug, Default)]
pub struct KeyTable {
    joined: Vec<KeyInfo>,
}

impl KeyTable {
    /// What is known of `key`; none for a key of another table.
    #[must_use]
    pub fn info(&self, key: Key) -> Option<&KeyInfo> {
        let index = usize::from(key.0);
        TABLE.get(index).or_else(|| self.joined.get(index.checked_sub(TABLE.len())?))
    }

    /// The name of `key` in JSON.
    #[must_use]
    pub fn name(&self, key: Key) -> &'static str {
        self.info(key).map_or("sniffx.unknown", |i| i.name)
    }

    /// Adds a key, or finds the one that has its name; none when the table is full (65,536 keys).
    pub fn join(&mut self, info: KeyInfo) -> Option<Key> {
        let known = self.iter().position(|(_, i)| i.name == info.name);
        let index = known.unwrap_or(TABLE.len() + self.joined.len());
        let key = u16::try_from(index).ok().map(Key)?;
        if known.is_none() {
            self.joined.push(info);
        }
        Some(key)
    }

    /// Every key with what is known of it.
    pub fn iter(&self) -> impl Iterator<Item = (Key, &KeyInfo)> {
        (0u16..).map(Key).zip(TABLE.iter().chain(&self.joined))
    }
}
