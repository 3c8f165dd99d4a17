//! Opening live interfaces: which ones, with which filter, and how many rings each has.
//!
//! With several rings the flows are shared out to them in the kernel: the rings of one interface are a fanout group, whose eBPF program
//! sends both directions of a flow to the same one. A group changes its order when it grows, so all rings join, in the same order on
//! every interface, before the rules go in and with them the first frame.

use std::os::fd::AsFd;
use std::sync::Arc;

use sniff_x_filter::RuleSet;

use super::filtering::Filtering;
use super::switch::Shared;
use super::{ANY, AfPacket, Capture};
use crate::{CaptureError, Device, LiveOptions, Source, devices};

/// Opens live interfaces with AF_PACKET: a TPACKET_V3 ring each, [`LiveOptions::rings`] times. Each source is one of these times, all
/// interfaces; each flow comes out of one of them, whole. There is only one source where the kernel can't share the flows out, for
/// want of CAP_BPF or of memory. Needs CAP_NET_RAW, and CAP_BPF to filter in the kernel.
///
/// The sources' counters add up: see [`SourceCounters::add`](crate::SourceCounters::add). Keep all of them as long as one is read:
/// flows of a source that is dropped move to others.
///
/// # Errors
/// [`CaptureError::Permission`] without CAP_NET_RAW, [`CaptureError::UnknownInterface`], [`CaptureError::Config`] for sizes that
/// make no ring, [`CaptureError::System`] when the kernel refuses something.
pub fn open_live(options: LiveOptions) -> Result<Vec<Box<dyn Source>>, CaptureError> {
    let sources = AfPacket::open(&options, Filtering::load)?;
    Ok(sources.into_iter().map(|source| Box::new(source) as Box<dyn Source>).collect())
}

impl AfPacket {
    /// Opens with the level of filtering that `load` chooses for these interfaces and this snap length and these rules.
    pub(super) fn open(
        options: &LiveOptions,
        load: impl Fn(&[Option<Device>], u32, &RuleSet) -> Filtering,
    ) -> Result<Vec<Self>, CaptureError> {
        let devices = devices()?;
        let chosen = choose(&options.interfaces, &devices)?;
        let blocks = blocks(options)?;
        let open = |filtering: &Filtering| -> Result<Vec<Capture>, CaptureError> {
            chosen.iter().map(|device| Capture::open(device.clone(), options, blocks, filtering)).collect()
        };
        let mut filtering = load(&chosen, options.snaplen, &options.rules);
        filtering.check(&options.rules)?;
        let mut refused = None;
        let mut rings = Vec::new();
        if options.rings > 1 && filtering.in_kernel() {
            let all: Result<Vec<_>, _> = (0..options.rings).map(|_| open(&filtering)).collect();
            match all.and_then(|all| join(&all, &mut filtering).map(|()| all)) {
                Ok(all) => rings = all,
                Err(error) => refused = Some(error.to_string()),
            }
        }
        if rings.is_empty() {
            rings.push(open(&filtering)?);
        }
        // Until now nothing passed: all rings have joined before the rules go in.
        if !filtering.start(&options.rules) {
            // The sockets' filter is the one without rules: start again without it.
            drop(rings);
            rings = vec![open(&filtering)?];
        }
        filtering.report();
        if rings.len() < options.rings {
            let why = refused.as_deref().or_else(|| filtering.why()).unwrap_or_default();
            log::info!("one ring instead of {}, the kernel can't share the flows out: {why}", options.rings);
        }
        for device in chosen.iter().flatten().filter(|device| !device.up) {
            log::warn!("interface {} is down; capturing starts when it comes up", device.name);
        }
        filtering.sockets = rings.iter().flatten().map(|capture| Arc::downgrade(&capture.socket)).collect();
        let shared = Arc::new(Shared::new(filtering));
        let source = |(index, captures): (usize, Vec<Capture>)| Self {
            captures,
            shared: Arc::clone(&shared),
            leads: index == 0,
            turn: 0,
            snaplen: options.snaplen,
            retire: options.retire,
            devices: devices.clone(),
            stopped: false,
        };
        Ok(rings.into_iter().enumerate().map(source).collect())
    }
}

/// Makes the rings of each interface a fanout group; `rings` have the same interfaces in the same order.
fn join(rings: &[Vec<Capture>], filtering: &mut Filtering) -> Result<(), CaptureError> {
    for interface in 0..rings.first().map_or(0, Vec::len) {
        let mut sockets = rings.iter().filter_map(|ring| ring.get(interface)).map(|capture| &capture.socket);
        let Some(first) = sockets.next() else { continue };
        let group = first.new_group()?;
        filtering.choose_rings(first.as_fd())?;
        sockets.try_for_each(|socket| socket.join(group))?;
    }
    Ok(())
}

/// The interfaces with these names, each once; none is all of them.
fn choose(names: &[String], devices: &[Device]) -> Result<Vec<Option<Device>>, CaptureError> {
    if names.is_empty() {
        return Err(CaptureError::Config("no interface is named".to_owned()));
    }
    if names.iter().any(|name| name == ANY) {
        if names.iter().all(|name| name == ANY) {
            return Ok(vec![None]);
        }
        return Err(CaptureError::Config("'any' is all interfaces; name no other beside it".to_owned()));
    }
    let mut chosen: Vec<Option<Device>> = Vec::new();
    for name in names {
        let Some(device) = devices.iter().find(|device| device.name == *name) else {
            let mut existing: Vec<String> = devices.iter().map(|device| device.name.clone()).collect();
            existing.push(ANY.to_owned());
            return Err(CaptureError::UnknownInterface { name: name.clone(), existing });
        };
        if device.link_type.is_none() {
            return Err(CaptureError::Config(format!(
                "interface '{name}' has a kind of link that can't be read"
            )));
        }
        if !chosen.iter().flatten().any(|known| known.index == device.index) {
            chosen.push(Some(device.clone()));
        }
    }
    Ok(chosen)
}

/// How many blocks make the ring.
fn blocks(options: &LiveOptions) -> Result<usize, CaptureError> {
    // The largest page that Linux has, so that the same sizes work everywhere.
    const PAGE: usize = 64 << 10;
    const LARGEST: usize = 1 << 30;
    let LiveOptions { ring_size, block_size, .. } = *options;
    let config = |text: String| Err(CaptureError::Config(text));
    if block_size == 0 || !block_size.is_multiple_of(PAGE) || block_size > LARGEST {
        return config(format!(
            "a block size of {block_size} bytes: it has to be a multiple of 64 KiB, up to 1 GiB"
        ));
    }
    let blocks = ring_size / block_size;
    if blocks < 2 || ring_size > 4 * LARGEST {
        return config(format!(
            "a ring size of {ring_size} bytes: it has to be 2 blocks at least, up to 4 GiB"
        ));
    }
    Ok(blocks)
}
