//! Reading the frame and its metadata.

use core::mem::MaybeUninit;
use core::ptr;

use aya_ebpf::bindings::bpf_hdr_start_off::{BPF_HDR_START_MAC, BPF_HDR_START_NET};
use aya_ebpf::helpers::{bpf_skb_load_bytes, bpf_skb_load_bytes_relative};

use crate::Skb;

/// What offsets in the frame count from.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Origin {
    /// `skb->data`: where the socket's copy of the frame begins.
    Data,
    /// The network header, for interfaces whose link header is not known.
    Net,
    /// The link header, wherever `skb->data` is.
    Mac,
}

impl Origin {
    /// The `T` at `offset`, None where the frame ends before it does.
    #[inline(always)]
    pub(crate) fn load<T: Plain>(self, skb: Skb, offset: u32) -> Option<T> {
        let mut value = MaybeUninit::<T>::uninit();
        let (to, size) = (value.as_mut_ptr().cast(), size_of::<T>() as u32);
        // SAFETY: `to` has room for the size of T; the helpers check the frame's bounds.
        let failed = unsafe {
            match self {
                Self::Data => bpf_skb_load_bytes(skb.cast(), offset, to, size),
                Self::Net => bpf_skb_load_bytes_relative(skb.cast(), offset, to, size, BPF_HDR_START_NET),
                Self::Mac => bpf_skb_load_bytes_relative(skb.cast(), offset, to, size, BPF_HDR_START_MAC),
            }
        };
        // SAFETY: the helper wrote all of it, and T takes any bits.
        (failed == 0).then(|| unsafe { value.assume_init() })
    }
}

/// Types of which every bit pattern is a value.
///
/// # Safety
/// That must be so.
pub(crate) unsafe trait Plain: Copy {}

// SAFETY: an integer.
unsafe impl Plain for u32 {}
// SAFETY: integers.
unsafe impl<const N: usize> Plain for [u32; N] {}

/// The first 38 bytes of an Ethernet frame, shifted so that the IP header is aligned: the verifier takes aligned stack reads only.
#[derive(Clone, Copy)]
#[repr(C, align(8))]
pub(crate) struct Head {
    shift: u16,
    addresses: [u16; 6],
    /// EtherType, big endian.
    pub(crate) kind: u16,
    /// What should be the first words of an IP header, big endian.
    pub(crate) ip: [u32; 3],
    ip_addresses: [u32; 2],
    /// What are the ports if the IP header has no options, big endian.
    pub(crate) ports: u32,
}

impl Head {
    /// What should be the addresses of an IPv4 header, as they lie there.
    #[inline(always)]
    pub(crate) const fn addresses(&self) -> [u32; 2] {
        self.ip_addresses
    }

    /// None where the frame is shorter.
    #[inline(always)]
    pub(crate) fn load(skb: Skb) -> Option<Self> {
        let mut to = MaybeUninit::<Self>::uninit();
        let head = to.as_mut_ptr();
        // SAFETY: inside of `to`. What the compiler copies must not hold undefined bytes.
        unsafe { (&raw mut (*head).shift).write(0) };
        let size = (size_of::<Self>() - size_of::<u16>()) as u32;
        // SAFETY: behind `shift` there is room for the rest; the helper checks the frame's bounds.
        let failed = unsafe { bpf_skb_load_bytes(skb.cast(), 0, (&raw mut (*head).addresses).cast(), size) };
        // SAFETY: the helper wrote what `shift` is not, and all fields are integers.
        (failed == 0).then(|| unsafe { to.assume_init() })
    }
}

/// `skb->pkt_type`.
#[inline(always)]
pub(crate) fn packet_type(skb: Skb) -> u32 {
    // SAFETY: the kernel gave a valid context. Volatile, because the verifier takes each field at its own constant offset only.
    unsafe { ptr::read_volatile(&raw const (*skb).pkt_type) }
}

/// `skb->ifindex`.
#[inline(always)]
pub(crate) fn interface(skb: Skb) -> u32 {
    // SAFETY: as in `packet_type`.
    unsafe { ptr::read_volatile(&raw const (*skb).ifindex) }
}

/// `skb->protocol` in host byte order: the EtherType of what is at the network header.
#[inline(always)]
pub(crate) fn protocol(skb: Skb) -> u32 {
    // SAFETY: as in `packet_type`.
    let big_endian = unsafe { ptr::read_volatile(&raw const (*skb).protocol) };
    u32::from(u16::from_be(big_endian as u16))
}

/// Writes a word of `skb->cb`.
#[inline(always)]
pub(crate) fn set_cb<const WORD: usize>(skb: Skb, value: u32) {
    const { assert!(WORD < 5) };
    // SAFETY: as in `packet_type`; the index is below the five words.
    unsafe { ptr::write_volatile((&raw mut (*skb).cb).cast::<u32>().add(WORD), value) };
}
