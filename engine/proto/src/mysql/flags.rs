//! Capability and status bits: what both sides agreed on, and what a response says of its own end.
//!
//! Capabilities are 64 bits here: the low half is MySQL's, the high half MariaDB's extended capabilities, which MariaDB carries in
//! the filler of the handshake packets when bit 0 (`CLIENT_MYSQL`) is off.

/// A set of capability bits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Caps(pub(super) u64);

impl Caps {
    /// Not MariaDB's dialect (MySQL's `CLIENT_LONG_PASSWORD`).
    pub(super) const MYSQL: u64 = 1;
    /// The login names a database.
    pub(super) const CONNECT_WITH_DB: u64 = 1 << 3;
    /// The compressed protocol with zlib follows the login.
    pub(super) const COMPRESS: u64 = 1 << 5;
    /// The 4.1 protocol: everything since 2004.
    pub(super) const PROTOCOL_41: u64 = 1 << 9;
    /// TLS follows.
    pub(super) const SSL: u64 = 1 << 11;
    /// The authentication data has a length byte.
    pub(super) const SECURE_CONNECTION: u64 = 1 << 15;
    /// Authentication plugins are named.
    pub(super) const PLUGIN_AUTH: u64 = 1 << 19;
    /// The authentication data has a length-encoded length.
    pub(super) const PLUGIN_AUTH_LENENC: u64 = 1 << 21;
    /// No EOF packet behind column definitions; an OK packet with header 0xfe ends the rows.
    pub(super) const DEPRECATE_EOF: u64 = 1 << 24;
    /// The server may leave column definitions out (MySQL).
    pub(super) const OPTIONAL_METADATA: u64 = 1 << 25;
    /// The compressed protocol with zstd follows the login.
    pub(super) const ZSTD: u64 = 1 << 26;
    /// Attributes stand before the text of a query.
    pub(super) const QUERY_ATTRIBUTES: u64 = 1 << 27;
    /// A login may take several methods, one after the other.
    pub(super) const MULTI_FACTOR: u64 = 1 << 28;
    /// The server may leave column definitions out (MariaDB).
    pub(super) const CACHE_METADATA: u64 = 1 << 36;

    /// Whether one of `bits` is set.
    pub(super) fn has(self, bits: u64) -> bool {
        self.0 & bits != 0
    }
}

/// The server has another result for this command.
pub(super) const STATUS_MORE_RESULTS: u16 = 0x0008;
/// The rows wait in a cursor and are fetched later.
pub(super) const STATUS_CURSOR_EXISTS: u16 = 0x0040;
/// A backslash in a string escapes nothing.
pub(super) const STATUS_NO_BACKSLASH_ESCAPES: u16 = 0x0200;
/// The OK packet tells what changed in the session.
pub(super) const STATUS_SESSION_CHANGED: u16 = 0x4000;
