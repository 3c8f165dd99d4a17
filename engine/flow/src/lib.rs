//! Stage: frame → packet → flow → bytes in order.
//!
//! This crate is the pure core of the data path. It takes a [`Frame`] that a source lent, finds the TCP or UDP header in
//! it ([`packet`]), and puts the bytes of each connection in order ([`assembler`]). It holds the vocabulary that all
//! other crates share. It never does I/O, starts a thread or reads a clock: time is the frame's timestamp.
#![forbid(unsafe_code)]

pub mod assembler;
mod counters;
pub mod datagrams;
mod flow;
mod frame;
#[cfg(test)]
mod generated;
pub mod packet;
mod time;

pub use flow::{Direction, End, Endpoint, FlowInfo, FlowKey, OrientedBy, Place, Side, Transport};
pub use frame::{Frame, FrameFlags, LinkType, VlanTag};
pub use time::Nanos;
