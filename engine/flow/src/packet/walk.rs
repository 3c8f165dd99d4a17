//! What the way down the headers leaves behind: VLAN ids, tunnels, depth.
//!
//! A flow's two directions must get the same tunnel id, so only what both carry counts:
//!
//! | tunnel | its id |
//! | --- | --- |
//! | VXLAN, 802.1ah | the network (VNI, I-SID) |
//! | GRE with Ethernet inside | the network in its key: all of it below 2^20, else the upper 24 bits (NVGRE, whose lower 8 bits differ from flow to flow; RFC 7637 reserves its networks below 2^12) |
//! | GRE with IP inside, PPTP, IP in IP, 6in4, EtherIP, MPLS in IP, Ethernet in IP | the two outer addresses, in either order; keys and call ids may differ by direction |
//! | ERSPAN | the session |
//! | PPPoE | the session |
//! | GENEVE, GTP-U, Teredo | that it is one: what is routed between logical networks carries the VNI of where it goes (as in OVN), each direction of GTP-U has a TEID of its own, and a mobile station changes its base station |
//! | MPLS, NSH, VN-Tag, 802.1BR | none: labels belong to one direction, often the other has none |
//!
//! Ids of all levels are mixed into one number, VLAN ids inside a tunnel too, and of three or more tags outside of one all beyond the second.

use super::{Ends, FlowHasher, Fragment, ParseOptions, Stop};
use crate::{Frame, Place};

/// Headers in headers that are followed.
const MAX_DEPTH: u8 = 8;
/// VLAN tags of one frame that are followed: more is no sane network.
const MAX_TAGS: u8 = 8;

/// What kind of tunnel it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tunnel {
    BackboneBridge = 1,
    Pppoe,
    Gre,
    GreBridge,
    Erspan,
    Pptp,
    IpInIp,
    EthernetInIp,
    MplsInIp,
    Vxlan,
    Geneve,
    Gtp,
    Teredo,
}

/// The way down to a header.
#[derive(Clone, Copy)]
pub(super) struct Walk<'a> {
    pub(super) frame: &'a Frame<'a>,
    pub(super) hasher: &'a FlowHasher,
    pub(super) options: ParseOptions,
    /// VLANs and tunnels met so far.
    pub(super) place: Place,
    pub(super) vlan_tags: u8,
    pub(super) depth: u8,
}

impl<'a> Walk<'a> {
    /// At a frame's first byte.
    #[inline]
    pub(super) fn new(frame: &'a Frame<'a>, hasher: &'a FlowHasher, options: ParseOptions) -> Self {
        Self { frame, hasher, options, place: Place::default(), vlan_tags: 0, depth: 0 }
    }

    /// At the IP header whose fragments were put together.
    pub(super) fn resumed(
        frame: &'a Frame<'a>,
        hasher: &'a FlowHasher,
        options: ParseOptions,
        first: &Fragment,
    ) -> Self {
        let (place, vlan_tags, depth) = (first.datagram.place, first.vlan_tags, first.depth);
        Self { frame, hasher, options, place, vlan_tags, depth }
    }

    /// The same way, where nothing more can be checked.
    pub(super) fn unchecked(mut self) -> Self {
        self.options.verify_checksums = false;
        self
    }

    /// Adds the next inner VLAN tag. Id 0 is a priority tag: it names no VLAN, and often only one direction carries it.
    pub(super) fn tag(&mut self, id: u16) -> Result<(), Stop> {
        if self.vlan_tags == MAX_TAGS {
            return Err(Stop::Other);
        }
        self.vlan_tags += 1;
        if id == 0 || self.options.merge_vlans {
            return Ok(());
        }
        match &mut self.place.vlans {
            [free @ None, _] | [_, free @ None] if self.place.tunnel == 0 => *free = Some(id),
            _ => self.place.tunnel = mix(self.place.tunnel, u32::from(id)),
        }
        Ok(())
    }

    /// Inside another header that can hold whole packets, but is no part of the flow's identity.
    pub(super) fn deeper(mut self) -> Result<Self, Stop> {
        if self.depth == MAX_DEPTH {
            return Err(Stop::Other);
        }
        self.depth += 1;
        Ok(self)
    }

    /// Inside a tunnel.
    pub(super) fn enter(self, tunnel: Tunnel, id: u32) -> Result<Self, Stop> {
        let mut inside = self.deeper()?;
        if !self.options.merge_vlans {
            inside.place.tunnel = mix(mix(self.place.tunnel, tunnel as u32), id);
        }
        Ok(inside)
    }

    /// Inside a tunnel that only its two ends tell from others.
    pub(super) fn enter_between(self, tunnel: Tunnel, ends: &Ends) -> Result<Self, Stop> {
        let [source, destination] = [ends.source, ends.destination].map(|end| {
            let bytes = end.bits().to_be_bytes();
            bytes.as_chunks().0.iter().fold(0, |sum, word| mix(sum, u32::from_be_bytes(*word)))
        });
        self.enter(tunnel, source.wrapping_add(destination))
    }
}

/// A step of MurmurHash3; never 0, which is no tunnel.
fn mix(sum: u32, word: u32) -> u32 {
    let word = word.wrapping_mul(0xcc9e_2d51).rotate_left(15).wrapping_mul(0x1b87_3593);
    (sum ^ word).rotate_left(13).wrapping_mul(5).wrapping_add(0xe654_6b64).max(1)
}
