//! The handshake: the server's greeting, the client's login, the change of user, the switch of the authentication method.
//!
//! Authentication data is stepped over where it stands: no function here returns a byte of it.

use super::flags::Caps;
use super::wire::Cursor;

/// The server's first packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Greeting<'a> {
    /// 10, or 9 before 2002.
    pub(super) protocol: u8,
    pub(super) version: &'a [u8],
    pub(super) connection_id: u32,
    pub(super) caps: Caps,
    pub(super) auth_method: &'a [u8],
}

impl<'a> Greeting<'a> {
    /// Reads protocol versions 9 and 10.
    pub(super) fn parse(payload: &'a [u8]) -> Option<Self> {
        let mut c = Cursor::new(payload);
        let protocol = c.u8().filter(|p| matches!(p, 9 | 10))?;
        let version = c.nul_bytes()?;
        if version.is_empty() || !version.iter().all(|b| (0x20..0x7f).contains(b)) {
            return None;
        }
        let connection_id = c.u32()?;
        let mut greeting = Self { protocol, version, connection_id, caps: Caps::default(), auth_method: &[] };
        if protocol == 9 {
            return Some(greeting);
        }
        c.bytes(8)?;
        let mut read = || {
            c.u8()?;
            let mut caps = u64::from(c.u16()?);
            // Servers before 4.1 end here.
            greeting.caps = Caps(caps);
            c.bytes(3)?;
            caps |= u64::from(c.u16()?) << 16;
            let challenge = usize::from(c.u8()?);
            c.bytes(6)?;
            let extended = u64::from(c.u32()?);
            if caps & Caps::MYSQL == 0 {
                caps |= extended << 32;
            }
            greeting.caps = Caps(caps);
            if caps & Caps::SECURE_CONNECTION != 0 {
                c.bytes(challenge.saturating_sub(8).max(13).min(c.rest().len()))?;
            }
            if caps & Caps::PLUGIN_AUTH != 0 {
                greeting.auth_method = c.nul_or_rest();
            }
            Some(())
        };
        let _ = read();
        Some(greeting)
    }

    /// MariaDB says so in its version; since 10.2 it also clears the bit that MySQL always sets.
    pub(super) fn is_mariadb(&self) -> bool {
        const NAME: &[u8] = b"mariadb";
        self.version.windows(NAME.len()).any(|w| w.eq_ignore_ascii_case(NAME))
    }
}

/// The client's first packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Login<'a> {
    pub(super) caps: Caps,
    /// Nothing but the request for TLS, which follows at once.
    pub(super) tls: bool,
    pub(super) user: &'a [u8],
    pub(super) database: Option<&'a [u8]>,
    pub(super) auth_method: &'a [u8],
}

/// Length of a request for TLS: the fixed part of a login (32), or of one before 4.1 (5).
const FIXED: usize = 32;
const FIXED_OLD: usize = 5;

impl<'a> Login<'a> {
    /// Reads a login of the 4.1 protocol or of the one before.
    pub(super) fn parse(payload: &'a [u8]) -> Option<Self> {
        let mut c = Cursor::new(payload);
        let low = u64::from(c.u16()?);
        if low & Caps::PROTOCOL_41 == 0 {
            return Self::parse_old(payload);
        }
        let mut caps = low | u64::from(c.u16()?) << 16;
        c.bytes(4 + 1 + 19)?;
        let extended = u64::from(c.u32()?);
        if caps & Caps::MYSQL == 0 {
            caps |= extended << 32;
        }
        let caps = Caps(caps);
        let tls = caps.has(Caps::SSL) && payload.len() == FIXED;
        let mut login = Self { caps, tls, user: &[], database: None, auth_method: &[] };
        if tls {
            return Some(login);
        }
        login.user = c.nul_bytes()?;
        skip_auth_data(&mut c, caps)?;
        if caps.has(Caps::CONNECT_WITH_DB) {
            login.database = Some(c.nul_or_rest()).filter(|d| !d.is_empty());
        }
        if caps.has(Caps::PLUGIN_AUTH) {
            login.auth_method = c.nul_or_rest();
        }
        Some(login)
    }

    fn parse_old(payload: &'a [u8]) -> Option<Self> {
        let mut c = Cursor::new(payload);
        let caps = Caps(u64::from(c.u16()?));
        c.bytes(3)?;
        let tls = caps.has(Caps::SSL) && payload.len() == FIXED_OLD;
        let mut login = Self { caps, tls, user: &[], database: None, auth_method: &[] };
        if !tls {
            login.user = c.nul_bytes()?;
            if caps.has(Caps::CONNECT_WITH_DB) {
                c.nul_bytes()?;
                login.database = Some(c.nul_or_rest()).filter(|d| !d.is_empty());
            }
        }
        Some(login)
    }

    /// Whether bytes that were not expected to be a login of the 4.1 protocol look like one: the filler is zero, the names are text.
    pub(super) fn is_plausible(payload: &'a [u8]) -> bool {
        let Some(login) = Self::parse(payload) else { return false };
        let names = [login.user, login.database.unwrap_or_default(), login.auth_method];
        login.caps.has(Caps::PROTOCOL_41)
            && payload.get(9..28).is_some_and(|filler| filler.iter().all(|&b| b == 0))
            && names.iter().all(|name| !name.iter().any(u8::is_ascii_control))
    }
}

fn skip_auth_data(c: &mut Cursor<'_>, caps: Caps) -> Option<()> {
    if caps.has(Caps::PLUGIN_AUTH_LENENC) {
        c.lenenc_bytes()?;
    } else if caps.has(Caps::SECURE_CONNECTION) {
        let len = c.u8()?;
        c.bytes(usize::from(len))?;
    } else {
        c.nul_or_rest();
    }
    Some(())
}

/// The client becomes another user on the same connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ChangeUser<'a> {
    pub(super) user: &'a [u8],
    pub(super) database: &'a [u8],
}

impl<'a> ChangeUser<'a> {
    /// Reads what follows the command byte. Without capabilities the common form is assumed (a length byte before the authentication
    /// data); if that does not fit, only the user is told.
    pub(super) fn parse(body: &'a [u8], caps: Option<Caps>) -> Option<Self> {
        let mut c = Cursor::new(body);
        let user = c.nul_bytes()?;
        let caps = caps.unwrap_or(Caps(Caps::SECURE_CONNECTION));
        let database = if caps.has(Caps::SECURE_CONNECTION | Caps::PLUGIN_AUTH_LENENC) {
            let len = c.u8().map(usize::from);
            len.and_then(|len| c.bytes(len)).and_then(|_| c.nul_bytes())
        } else {
            c.nul_bytes().and_then(|_| c.nul_bytes())
        };
        Some(Self { user, database: database.unwrap_or_default() })
    }
}

/// The method that the server switches to; a lone 0xfe asks for the one before 4.1.
pub(super) fn switched_auth_method(payload: &[u8]) -> &[u8] {
    let mut c = Cursor::new(payload);
    let _ = c.u8();
    match c.rest() {
        [] => b"mysql_old_password",
        _ => c.nul_or_rest(),
    }
}
