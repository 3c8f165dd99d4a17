//! The plugin and its decoders as the engine sees them: each call goes through the C interface.

use core::ffi::{CStr, c_void};
use core::net::IpAddr;
use std::ffi::CString;
use std::sync::Arc;

use sniff_x_flow::{Direction, End, Endpoint, FlowInfo, Nanos, Transport};
use sniff_x_proto::{
    About, BypassReason, Decode, Decoder, Lost, Next, OptionError, Options, Out, Plugin, Probe, Window,
};

use crate::abi::{self, RawComplaint, RawFlow, RawNext, RawPlugin, RawValue, RawWindow};
use crate::out::{Draft, HOST, Outlet, Vocabulary};

/// The plugin's functions; those that must be there are.
#[derive(Clone, Copy)]
pub(crate) struct Calls {
    create: abi::Create,
    destroy: abi::Destroy,
    configure: Option<abi::Configure>,
    rule: abi::Rule,
    is_server_port: abi::IsServerPort,
    probe: abi::ProbeCall,
    open: abi::Open,
    data: abi::Data,
    gap: abi::Gap,
    datagram: Option<abi::Data>,
    tick: Option<abi::Tick>,
    half_closed: Option<abi::HalfClosed>,
    end: abi::EndCall,
    retained: Option<abi::Retained>,
    close: abi::Destroy,
}

impl Calls {
    /// The functions, or the name of one that is missing.
    pub(crate) fn of(raw: &RawPlugin) -> Result<Self, &'static str> {
        Ok(Self {
            create: raw.create.ok_or("create")?,
            destroy: raw.destroy.ok_or("destroy")?,
            configure: raw.configure,
            rule: raw.rule.ok_or("rule")?,
            is_server_port: raw.is_server_port.ok_or("is_server_port")?,
            probe: raw.probe.ok_or("probe")?,
            open: raw.open.ok_or("open")?,
            data: raw.data.ok_or("data")?,
            gap: raw.gap.ok_or("gap")?,
            datagram: raw.datagram,
            tick: raw.tick,
            half_closed: raw.half_closed,
            end: raw.end.ok_or("end")?,
            retained: raw.retained,
            close: raw.close.ok_or("close")?,
        })
    }
}

/// The plugin object; it outlives its decoders, which share it.
pub(crate) struct Instance {
    calls: Calls,
    object: *mut c_void,
    vocabulary: Vocabulary,
}

// SAFETY: the header demands that a plugin object's functions may be called by several threads at once. Create, configure and
// destroy are not: the first two are called before it is shared, the last when nobody shares it any more.
unsafe impl Send for Instance {}
// SAFETY: as above.
unsafe impl Sync for Instance {}

impl Instance {
    /// None when the plugin refuses.
    pub(crate) fn create(calls: Calls, vocabulary: Vocabulary) -> Option<Self> {
        // SAFETY: the host is static, as the header promises.
        let object = unsafe { (calls.create)(&raw const HOST) };
        (!object.is_null()).then_some(Self { calls, object, vocabulary })
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        // SAFETY: the object came from create, and nobody has it any more.
        unsafe { (self.calls.destroy)(self.object) }
    }
}

/// A plugin from a library.
pub(crate) struct ExternalPlugin {
    about: About,
    instance: Arc<Instance>,
}

impl ExternalPlugin {
    pub(crate) fn new(about: About, instance: Instance) -> Self {
        Self { about, instance: Arc::new(instance) }
    }
}

impl Plugin for ExternalPlugin {
    fn about(&self) -> &About {
        &self.about
    }

    fn configure(&mut self, options: &Options) -> Result<(), OptionError> {
        let Some(configure) = self.instance.calls.configure else { return Ok(()) };
        let mut strings = Vec::new();
        for (option, value) in options.iter() {
            let spec = self.about.options.iter().find(|o| o.long == option);
            let name = spec.map_or("option", |o| o.long);
            let no_nul = |text: &str| {
                CString::new(text).map_err(|_| OptionError::new(name, text, "a text without NUL"))
            };
            strings.push((name, no_nul(option)?, value, no_nul(value)?));
        }
        let values: Vec<_> = strings
            .iter()
            .map(|(_, option, _, value)| RawValue {
                struct_size: size_of::<RawValue>(),
                option: option.as_ptr(),
                value: value.as_ptr(),
            })
            .collect();
        let mut complaint =
            RawComplaint { struct_size: size_of::<RawComplaint>(), value: usize::MAX, expected: [0; 160] };
        // SAFETY: the object is live, the values and the complaint outlive the call.
        let code =
            unsafe { configure(self.instance.object, values.as_ptr(), values.len(), &raw mut complaint) };
        if code == 0 {
            return Ok(());
        }
        let (option, value) =
            strings.get(complaint.value).map_or(("option", ""), |(name, _, value, _)| (name, value));
        let text = complaint.expected.split(|&b| b == 0).next().unwrap_or_default();
        let expected = String::from_utf8_lossy(text).escape_debug().to_string();
        Err(OptionError::new(option, value, if expected.is_empty() { "valid" } else { expected.leak() }))
    }

    /// A rule that is null or not UTF-8 comes as one that can't be parsed, and is told like any wrong rule.
    fn rule(&self) -> String {
        // SAFETY: the object is live; the string stays as long as it, and is copied here.
        let rule = unsafe {
            let rule = (self.instance.calls.rule)(self.instance.object);
            (!rule.is_null()).then(|| CStr::from_ptr(rule).to_string_lossy().into_owned())
        };
        rule.unwrap_or_else(|| "(null)".into())
    }

    fn is_server_port(&self, port: u16) -> bool {
        // SAFETY: the object is live.
        unsafe { (self.instance.calls.is_server_port)(self.instance.object, port) != 0 }
    }

    fn probe(&self, to_server: &[u8], to_client: &[u8]) -> Probe {
        let (s, c) = (to_server, to_client);
        // SAFETY: the object is live, and the bytes outlive the call.
        let answer = unsafe {
            (self.instance.calls.probe)(self.instance.object, s.as_ptr(), s.len(), c.as_ptr(), c.len())
        };
        abi::probe(answer)
    }

    fn open(&self, flow: &FlowInfo) -> Decoder {
        let raw = raw_flow(flow);
        // SAFETY: the object is live, and the flow outlives the call.
        let object = unsafe { (self.instance.calls.open)(self.instance.object, &raw const raw) };
        let instance = self.instance.clone();
        Decoder::External(Box::new(ExternalDecoder { instance, object, draft: Draft::default() }))
    }
}

fn raw_flow(flow: &FlowInfo) -> RawFlow {
    let octets = |end: Endpoint| match end.address() {
        IpAddr::V4(v4) => v4.to_ipv6_mapped().octets(),
        IpAddr::V6(v6) => v6.octets(),
    };
    let (client, server) = (flow.client(), flow.server());
    RawFlow {
        struct_size: size_of::<RawFlow>(),
        serial: flow.serial,
        first_seen: flow.first_seen.0,
        client_address: octets(client),
        server_address: octets(server),
        client_port: client.port(),
        server_port: server.port(),
        transport: match flow.key.transport() {
            Transport::Tcp => 6,
            Transport::Udp => 17,
        },
        midstream: u32::from(flow.midstream),
        reserved: 0,
    }
}

/// A decoder of an external plugin; null when the plugin did not want the flow.
struct ExternalDecoder {
    instance: Arc<Instance>,
    object: *mut c_void,
    draft: Draft,
}

// SAFETY: the header demands that a decoder may move between threads as long as one at a time calls it.
unsafe impl Send for ExternalDecoder {}

const REFUSED: Next = Next::Bypass(BypassReason::NotThisProtocol);

impl ExternalDecoder {
    /// Calls into the plugin with a way out. An event that the call left open is dropped.
    fn with_out<T>(
        &mut self,
        out: &mut Out<'_>,
        call: impl FnOnce(&Calls, *mut c_void, *mut abi::RawOut) -> T,
    ) -> T {
        let Self { instance, object, draft } = self;
        let mut outlet = Outlet { out, draft, vocabulary: &instance.vocabulary };
        let result = call(&instance.calls, *object, outlet.as_raw());
        outlet.draft.clear();
        result
    }

    /// Calls a function that fills in what it wants next.
    fn next(
        &mut self,
        window: Window<'_>,
        out: &mut Out<'_>,
        call: impl FnOnce(&Calls, *mut c_void, &RawWindow, *mut RawNext, *mut abi::RawOut),
    ) -> Next {
        if self.object.is_null() {
            return REFUSED;
        }
        let raw = raw_window(&window);
        let mut next =
            RawNext { struct_size: size_of::<RawNext>(), used: 0, amount: 0, what: 0, reserved: 0 };
        self.with_out(out, |calls, object, out| call(calls, object, &raw, &raw mut next, out));
        abi::next(&next, window.bytes.len())
    }
}

fn raw_window(window: &Window<'_>) -> RawWindow {
    RawWindow {
        struct_size: size_of::<RawWindow>(),
        bytes: window.bytes.as_ptr(),
        len: window.bytes.len(),
        seen: core::ptr::from_ref(window).cast(),
    }
}

impl Decode for ExternalDecoder {
    fn data(&mut self, direction: Direction, window: Window<'_>, out: &mut Out<'_>) -> Next {
        self.next(window, out, |calls, object, window, next, out| {
            // SAFETY: the decoder is open; window, next and out outlive the call.
            unsafe { (calls.data)(object, abi::direction(direction), window, next, out) }
        })
    }

    fn gap(&mut self, direction: Direction, tail: Window<'_>, lost: Lost, out: &mut Out<'_>) -> Next {
        let (kind, bytes) = abi::lost(lost);
        let next = self.next(tail, out, |calls, object, tail, next, out| {
            // SAFETY: the decoder is open; tail, next and out outlive the call.
            unsafe { (calls.gap)(object, abi::direction(direction), tail, kind, bytes, next, out) }
        });
        // What was kept is thrown away in any case: nothing of it can be used.
        match next {
            Next::More { need, .. } => Next::More { used: 0, need },
            Next::Skip { then, .. } => Next::Skip { used: 0, then },
            bypass @ Next::Bypass(_) => bypass,
        }
    }

    fn datagram(&mut self, direction: Direction, window: Window<'_>, out: &mut Out<'_>) -> Next {
        let Some(datagram) = self.instance.calls.datagram else { return REFUSED };
        self.next(window, out, |_, object, window, next, out| {
            // SAFETY: the decoder is open; window, next and out outlive the call.
            unsafe { datagram(object, abi::direction(direction), window, next, out) }
        })
    }

    fn tick(&mut self, now: Nanos, out: &mut Out<'_>) -> bool {
        let Some(tick) = self.instance.calls.tick.filter(|_| !self.object.is_null()) else { return false };
        self.with_out(out, |_, object, out| {
            // SAFETY: the decoder is open; out outlives the call.
            unsafe { tick(object, now.0, out) != 0 }
        })
    }

    fn half_closed(&mut self, direction: Direction, tail: Window<'_>, out: &mut Out<'_>) {
        let half_closed = self.instance.calls.half_closed.filter(|_| !self.object.is_null());
        let Some(half_closed) = half_closed else { return };
        let raw = raw_window(&tail);
        self.with_out(out, |_, object, out| {
            // SAFETY: the decoder is open; tail and out outlive the call.
            unsafe { half_closed(object, abi::direction(direction), &raw const raw, out) }
        });
    }

    fn end(&mut self, why: End, tails: [Window<'_>; 2], out: &mut Out<'_>) {
        if self.object.is_null() {
            return;
        }
        let [to_server, to_client] = &tails;
        let (to_server, to_client) = (raw_window(to_server), raw_window(to_client));
        self.with_out(out, |calls, object, out| {
            // SAFETY: the decoder is open; tails and out outlive the call.
            unsafe { (calls.end)(object, abi::end(why), &raw const to_server, &raw const to_client, out) }
        });
    }

    fn retained(&self) -> usize {
        let retained = self.instance.calls.retained.filter(|_| !self.object.is_null());
        // SAFETY: the decoder is open.
        let of_the_plugin = retained.map_or(0, |retained| unsafe { retained(self.object) });
        of_the_plugin.saturating_add(self.draft.retained())
    }
}

impl Drop for ExternalDecoder {
    fn drop(&mut self) {
        if !self.object.is_null() {
            // SAFETY: the decoder came from open, and nothing calls it after this.
            unsafe { (self.instance.calls.close)(self.object) }
        }
    }
}
