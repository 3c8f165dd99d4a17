//! Stage: wire → frames, through libpcap: the backend for systems without AF_PACKET, with the same results.
//!
//! libpcap lends one packet at a time, so each is copied, once, into a read buffer as a pcap record; from there on all is as with a
//! file. The rules are applied by the engine. libpcap itself puts VLAN tags back and shows loopback frames once.
//! Source: pcap(3PCAP).

use core::time::Duration;
use std::sync::Arc;
use std::thread;

use pcap::{Active, Capture, Error, Precision};
use sniff_x_flow::LinkType;

use crate::buffers::{BUFFER_SIZE, BUFFERS, Filled, Pool};
use crate::file::pcap::{Format, View};
use crate::{Batch, CaptureError, FilterLevel, Interface, Lease, LiveOptions, Source, SourceCounters, lease};

/// The longest frame that libpcap gives.
const LONGEST: u32 = 262_144;

/// Bytes of a record's header.
const HEADER: usize = 16;

const SHORTEST_NAP: Duration = Duration::from_micros(200);
const LONGEST_NAP: Duration = Duration::from_millis(5);

/// Batches that are still given after a stop: libpcap's buffer has no more.
const LAST_BATCHES: u32 = 256;

/// Nanoseconds where they are sure to be there.
const PRECISION: Precision = if cfg!(target_os = "linux") { Precision::Nano } else { Precision::Micro };
const NANOS: u32 = if cfg!(target_os = "linux") { 1 } else { 1000 };

struct Libpcap {
    captures: Vec<(Capture<Active>, Interface)>,
    pool: Arc<Pool>,
    turn: usize,
    snaplen: u32,
    retire: Duration,
    /// Batches to give after the stop, None before it.
    last: Option<u32>,
    unreadable: u64,
}

/// Opens live interfaces with libpcap.
///
/// # Errors
/// [`CaptureError::Permission`], [`CaptureError::UnknownInterface`], [`CaptureError::Libpcap`] with libpcap's words.
pub fn open_libpcap(options: LiveOptions) -> Result<Box<dyn Source>, CaptureError> {
    let snaplen = if options.snaplen == 0 { LONGEST } else { options.snaplen.min(LONGEST) };
    let captures = options
        .interfaces
        .iter()
        .zip(0..)
        .map(|(name, id)| open(name, id, snaplen, &options))
        .collect::<Result<Vec<_>, _>>()?;
    if captures.is_empty() {
        return Err(CaptureError::Config("no interface is named".to_owned()));
    }
    log::info!("capturing with libpcap, filtering in user space, every frame is copied");
    let pool = Pool::new(BUFFERS);
    Ok(Box::new(Libpcap {
        captures,
        pool,
        turn: 0,
        snaplen,
        retire: options.retire,
        last: None,
        unreadable: 0,
    }))
}

fn open(
    name: &str,
    id: u32,
    snaplen: u32,
    options: &LiveOptions,
) -> Result<(Capture<Active>, Interface), CaptureError> {
    let list = pcap::Device::list().map_err(failed)?;
    let Some(device) = list.iter().find(|device| device.name == name) else {
        let existing = list.into_iter().map(|device| device.name).collect();
        return Err(CaptureError::UnknownInterface { name: name.to_owned(), existing });
    };
    let number = |n: usize| i32::try_from(n).unwrap_or(i32::MAX);
    let capture = Capture::from_device(device.clone())
        .map_err(failed)?
        .promisc(options.promiscuous && name != "any")
        .snaplen(number(snaplen as usize))
        .buffer_size(number(options.ring_size))
        .timeout(i32::try_from(options.retire.as_millis()).unwrap_or(i32::MAX).max(1))
        .precision(PRECISION)
        .open()
        .and_then(Capture::setnonblock)
        .map_err(failed)?;
    let link_type = link_type(capture.get_datalink().0);
    let interface = Interface { id, name: name.to_owned(), link_type, snaplen: options.snaplen };
    Ok((capture, interface))
}

/// libpcap's DLT_ numbers are those of the file formats but for raw IP, which each system numbers in its own way.
fn link_type(dlt: i32) -> LinkType {
    match dlt {
        12 | 14 => LinkType::RAW,
        other => LinkType(u16::try_from(other).unwrap_or(u16::MAX)),
    }
}

fn failed(error: Error) -> CaptureError {
    let text = error.to_string();
    if text.contains("ermission") || text.contains("ermitted") {
        return CaptureError::Permission { call: "pcap_activate", capabilities: "cap_net_raw" };
    }
    CaptureError::Libpcap(text)
}

impl Libpcap {
    /// What an interface has now, each in its turn.
    fn take(&mut self) -> Result<Option<Lease>, CaptureError> {
        let count = self.captures.len();
        for at in 0..count {
            let index = (self.turn + at) % count;
            if let Some(lease) = self.read(index)? {
                self.turn = index + 1;
                return Ok(Some(lease));
            }
        }
        Ok(None)
    }

    fn read(&mut self, index: usize) -> Result<Option<Lease>, CaptureError> {
        let Some((capture, interface)) = self.captures.get_mut(index) else { return Ok(None) };
        let Some(mut buffer) = self.pool.take(BUFFER_SIZE) else { return Ok(None) };
        let into = buffer.bytes();
        let room = HEADER + self.snaplen as usize;
        let mut filled = 0;
        while into.len() - filled >= room {
            let packet = match capture.next_packet() {
                Ok(packet) => packet,
                // What came before the failure is whole.
                Err(_) if filled > 0 => break,
                Err(Error::TimeoutExpired | Error::NoMorePackets) => return Ok(None),
                Err(Error::PcapError(text)) if text.contains("disappeared") => {
                    return Err(CaptureError::InterfaceGone(interface.name.clone()));
                }
                Err(error) => return Err(failed(error)),
            };
            let header = packet.header;
            let fields = (|| {
                let seconds = u32::try_from(header.ts.tv_sec).ok()?;
                let fraction = u32::try_from(header.ts.tv_usec).ok()?.checked_mul(NANOS)?;
                Some([seconds, fraction, u32::try_from(packet.data.len()).ok()?, header.len])
            })();
            let end = filled + HEADER + packet.data.len();
            let (Some(fields), Some(record)) = (fields, into.get_mut(filled..end)) else {
                self.unreadable += 1;
                continue;
            };
            let (front, data) = record.split_at_mut(HEADER);
            for (to, field) in front.chunks_exact_mut(4).zip(fields) {
                to.copy_from_slice(&field.to_ne_bytes());
            }
            data.copy_from_slice(packet.data);
            filled = end;
        }
        let format = Format::native(interface.link_type, interface.id, interface.snaplen);
        let buffer: Filled = buffer.publish(filled);
        Ok((filled > 0).then(|| Lease::buffer(buffer, lease::View::Pcap(View::new(format, 0..filled)))))
    }
}

impl Source for Libpcap {
    fn next(&mut self, wait: Duration) -> Result<Batch, CaptureError> {
        let mut left = match &mut self.last {
            None => wait,
            Some(0) => return Ok(Batch::End),
            Some(batches) => {
                *batches -= 1;
                // The kernel hands over what it holds when this time-out is over.
                self.retire + LONGEST_NAP
            }
        };
        let mut nap = SHORTEST_NAP;
        loop {
            if let Some(lease) = self.take()? {
                return Ok(Batch::Frames(lease));
            }
            if left.is_zero() {
                break;
            }
            thread::sleep(nap.min(left));
            left = left.saturating_sub(nap);
            nap = (nap * 2).min(LONGEST_NAP);
        }
        if self.last.is_some() {
            self.last = Some(0);
            return Ok(Batch::End);
        }
        Ok(Batch::Idle)
    }

    fn stop(&mut self) {
        self.last.get_or_insert(LAST_BATCHES);
    }

    fn interfaces(&self) -> Vec<Interface> {
        self.captures.iter().map(|(_, interface)| interface.clone()).collect()
    }

    fn counters(&mut self) -> SourceCounters {
        let mut counters = SourceCounters {
            received: Some(0),
            dropped: Some(0),
            filtered: Some(0),
            unreadable: self.unreadable,
            ..SourceCounters::default()
        };
        for (capture, interface) in &mut self.captures {
            match capture.stats() {
                Ok(stats) => {
                    let add = |sum: Option<u64>, n: u32| sum.map(|sum| sum + u64::from(n));
                    counters.received = add(counters.received, stats.received);
                    counters.dropped = add(counters.dropped, stats.dropped);
                }
                Err(error) => log::debug!("{}: {error}", interface.name),
            }
        }
        counters
    }

    fn filter_level(&self) -> FilterLevel {
        FilterLevel::UserSpace
    }

    fn progress(&self) -> Option<(u64, u64)> {
        None
    }
}
