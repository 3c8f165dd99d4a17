//! What is known of a connection besides its exchanges: the server, the user, the database, the agreed capabilities.

use std::sync::Arc;

use sniff_x_flow::Nanos;

use super::flags::{Caps, STATUS_NO_BACKSLASH_ESCAPES};
use super::handshake::{Greeting, Login};
use super::mentions::Mentions;
use super::packet::Failure;
use super::report::{NAME, failure};
use super::settings::{Facts, Settings};
use super::sql::Selects;
use crate::event::{IncompleteReason, Key, Kind, Status};
use crate::{EventBuilder, Out, Sensitivity};

/// The longest name or version that is kept; the protocol's own limits are far below.
const MAX_NAME: usize = 1024;

/// One connection's session.
#[derive(Debug)]
pub(super) struct Session {
    settings: Arc<Settings>,
    pub(super) mariadb: bool,
    version: Vec<u8>,
    connection_id: Option<u32>,
    user: Vec<u8>,
    namespace: Vec<u8>,
    auth_method: Vec<u8>,
    /// What the server offered.
    offered: Option<Caps>,
    /// What both sides agreed on; none when the login was not seen.
    pub(super) caps: Option<Caps>,
    /// Whether queries were seen to have attributes, where the login was not seen.
    pub(super) attributes_seen: Option<bool>,
    /// Whether a backslash escapes what follows it, as the server said last.
    backslash: Option<bool>,
    /// When the login began, or else the greeting.
    begun: Option<Nanos>,
}

/// How a login ended.
#[derive(Clone, Copy, Debug)]
pub(super) enum LoginEnd<'a> {
    /// The server said OK.
    Accepted,
    /// The server said no.
    Rejected(Failure<'a>),
    /// The client asked for TLS.
    Encrypted,
    /// The end was not seen.
    Unknown(IncompleteReason, u64),
}

fn keep(to: &mut Vec<u8>, from: &[u8]) {
    to.clear();
    to.extend_from_slice(from.get(..MAX_NAME).unwrap_or(from));
}

impl Session {
    pub(super) fn new(settings: Arc<Settings>) -> Self {
        Self {
            settings,
            mariadb: false,
            version: Vec::new(),
            connection_id: None,
            user: Vec::new(),
            namespace: Vec::new(),
            auth_method: Vec::new(),
            offered: None,
            caps: None,
            attributes_seen: None,
            backslash: None,
            begun: None,
        }
    }

    /// Goes on with other options.
    pub(super) fn renew(&mut self, settings: Arc<Settings>) {
        self.settings = settings;
    }

    /// What the options ask of an event that belongs to no exchange.
    pub(super) fn facts(&self, kind: Kind, status: Option<Status>) -> Facts<'_> {
        let (user, database) = (&self.user, &self.namespace);
        Facts { kind, status, duration: None, user, database, text: None }
    }

    pub(super) fn greeted(&mut self, greeting: &Greeting<'_>, at: Nanos) {
        self.mariadb = greeting.is_mariadb();
        keep(&mut self.version, greeting.version);
        self.connection_id = Some(greeting.connection_id);
        keep(&mut self.auth_method, greeting.auth_method);
        if greeting.protocol >= 10 {
            self.offered = Some(greeting.caps);
        }
        self.begun = Some(at);
    }

    /// The client logs in. Only what the server offered counts of what the client wants.
    pub(super) fn logs_in(&mut self, login: &Login<'_>, at: Nanos) {
        self.caps = Some(self.offered.map_or(login.caps, |o| Caps(o.0 & login.caps.0)));
        keep(&mut self.user, login.user);
        keep(&mut self.namespace, login.database.unwrap_or_default());
        if !login.auth_method.is_empty() {
            keep(&mut self.auth_method, login.auth_method);
        }
        self.begun = Some(at);
    }

    pub(super) fn switches_auth(&mut self, method: &[u8]) {
        keep(&mut self.auth_method, method);
    }

    pub(super) fn changes_user(&mut self, user: &[u8], namespace: &[u8]) {
        keep(&mut self.user, user);
        keep(&mut self.namespace, namespace);
    }

    pub(super) fn set_namespace(&mut self, namespace: &[u8]) {
        if self.namespace != namespace {
            keep(&mut self.namespace, namespace);
        }
    }

    /// A statement that may select another database was carried out.
    pub(super) fn selected(&mut self, what: Selects<'_>) {
        match what {
            Selects::Use(name) => self.set_namespace(name),
            Selects::Drop(name) if name == self.namespace => self.namespace.clear(),
            Selects::Drop(_) => {}
        }
    }

    /// The server told its status.
    pub(super) fn note_status(&mut self, status: u16) {
        self.backslash = Some(status & STATUS_NO_BACKSLASH_ESCAPES == 0);
    }

    /// Whether a backslash escapes what follows it in this statement; none when nobody knows.
    pub(super) fn backslash(&self, mentions: Mentions) -> Option<bool> {
        self.backslash.filter(|_| !mentions.backslash)
    }

    pub(super) fn user(&self) -> &[u8] {
        &self.user
    }

    pub(super) fn namespace(&self) -> &[u8] {
        &self.namespace
    }

    /// The product; `mysql` as long as the server did not say that it is MariaDB.
    pub(super) fn system(&self) -> &'static [u8] {
        if self.mariadb { b"mariadb" } else { b"mysql" }
    }

    /// The 4.1 protocol is spoken: so it is assumed of connections whose login was not seen.
    pub(super) fn protocol_41(&self) -> bool {
        self.caps.is_none_or(|c| c.has(Caps::PROTOCOL_41))
    }

    /// Parameters are counted and have names, so that attributes may stand among them; none when nobody saw what was agreed on.
    pub(super) fn names_parameters(&self) -> Option<bool> {
        self.caps.map(|c| c.has(Caps::QUERY_ATTRIBUTES)).or(self.attributes_seen)
    }

    /// Both sides have one of `bits`.
    pub(super) fn agreed(&self, bits: u64) -> bool {
        self.caps.is_some_and(|c| c.has(bits))
    }

    /// How packets are compressed after the login. Where both ways were agreed on, servers and clients take zlib.
    pub(super) fn compression(&self) -> Option<&'static [u8]> {
        let caps = self.caps?;
        if caps.has(Caps::COMPRESS) { Some(b"zlib") } else { caps.has(Caps::ZSTD).then_some(b"zstd") }
    }

    /// Something of the handshake was seen.
    pub(super) fn has_begun(&self) -> bool {
        self.begun.is_some()
    }

    pub(super) fn begun(&self) -> Option<Nanos> {
        self.begun
    }

    /// Tells how the login ended at `at`.
    pub(super) fn report(&self, end: LoginEnd<'_>, at: Nanos, out: &mut Out<'_>) {
        let (state, status) = match end {
            LoginEnd::Accepted => ("connected", Some(Status::Ok)),
            LoginEnd::Rejected(_) => ("rejected", Some(Status::Error)),
            LoginEnd::Encrypted => ("encrypted", None),
            LoginEnd::Unknown(reason, _) => ("connecting", Some(Status::Incomplete(reason))),
        };
        let Some(mut event) = self.state(state, status, self.begun.unwrap_or(at), out) else { return };
        if matches!(end, LoginEnd::Accepted | LoginEnd::Rejected(_)) {
            event = event.until(at);
        }
        match end {
            LoginEnd::Rejected(error) => event = failure(event, &error, b""),
            LoginEnd::Unknown(_, bytes) if bytes > 0 => event = event.number(Key::GAP_BYTES, bytes),
            LoginEnd::Accepted => {
                event = event.maybe(self.compression(), |e, how| {
                    e.text(Key::DB_COMPRESSION, how, Sensitivity::Public)
                });
            }
            _ => {}
        }
        event.emit();
    }

    /// Tells that the X Protocol is spoken.
    pub(super) fn report_x_protocol(&self, at: Nanos, out: &mut Out<'_>) {
        const NOTICE: &[u8] = b"the X Protocol is not decoded";
        if let Some(event) = self.state("x-protocol", None, at, out) {
            event.text(Key::NOTICE, NOTICE, Sensitivity::Public).emit();
        }
    }

    /// Tells that a replication stream begins.
    pub(super) fn report_stream(&self, at: Nanos, out: &mut Out<'_>) {
        if let Some(event) = self.state("streaming", Some(Status::Ok), at, out) {
            event.emit();
        }
    }

    /// Tells that the server closes the connection, with its reason.
    pub(super) fn report_closed(&self, error: &Failure<'_>, at: Nanos, out: &mut Out<'_>) {
        if let Some(event) = self.state("closed", Some(Status::Error), at, out) {
            failure(event, error, b"").emit();
        }
    }

    /// A session event with what is known of the session; none when it is not wanted.
    fn state<'o>(
        &self,
        state: &str,
        status: Option<Status>,
        at: Nanos,
        out: &'o mut Out<'_>,
    ) -> Option<EventBuilder<'o>> {
        if !self.settings.want(|| self.facts(Kind::Session, status)) {
            out.withhold();
            return None;
        }
        let public = Sensitivity::Public;
        let mut event = out
            .event(NAME, Kind::Session, at)
            .text(Key::SESSION_STATE, state.as_bytes(), public)
            .text(Key::DB_SYSTEM_NAME, self.system(), public);
        for (key, value) in [
            (Key::DB_SERVER_VERSION, &self.version),
            (Key::DB_USER, &self.user),
            (Key::DB_NAMESPACE, &self.namespace),
            (Key::DB_AUTH_METHOD, &self.auth_method),
        ] {
            if !value.is_empty() {
                event = event.text(key, value, public);
            }
        }
        let event = event.maybe(status, EventBuilder::status);
        Some(event.maybe(self.connection_id, |e, id| e.number(Key::DB_CONNECTION_ID, u64::from(id))))
    }

    /// Bytes of memory held.
    pub(super) fn retained(&self) -> usize {
        [&self.version, &self.user, &self.namespace, &self.auth_method].iter().map(|v| v.capacity()).sum()
    }
}
