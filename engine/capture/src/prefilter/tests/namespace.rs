//! A network namespace that lives as long as its thread, and packet sockets in it.

use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd};
use std::process::Command;

use nix::errno::Errno;
use nix::net::if_::if_nametoindex;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sched::{CloneFlags, unshare};
use nix::sys::socket::sockopt::RcvBufForce;
use nix::sys::socket::{AddressFamily, MsgFlags, SockFlag, SockType, recv, setsockopt, socket};

use crate::prefilter::Prefilter;

/// Runs a test on a thread with a network namespace of its own, where the loopback interface and a pair `left`, `right` are up.
pub(super) fn in_namespace(test: impl FnOnce() + Send + 'static) {
    let thread = std::thread::spawn(|| {
        unshare(CloneFlags::CLONE_NEWNET).unwrap();
        ip("link set lo up");
        ip("link add left type veth peer name right");
        for side in ["left", "right"] {
            // No frames but ours: no address, so no neighbour discovery.
            ip(&format!("link set {side} addrgenmode none"));
            ip(&format!("link set {side} up"));
        }
        test();
    });
    if let Err(panic) = thread.join() {
        std::panic::resume_unwind(panic);
    }
}

/// Runs ip(8).
pub(super) fn ip(arguments: &str) {
    let output = Command::new("ip").args(arguments.split(' ')).output().unwrap();
    assert!(output.status.success(), "ip {arguments}: {}", String::from_utf8_lossy(&output.stderr));
}

/// A packet socket: nothing arrives before it is bound.
pub(super) fn packet_socket() -> OwnedFd {
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let socket = socket(AddressFamily::Packet, SockType::Raw, flags, None).unwrap();
    setsockopt(&socket, RcvBufForce, &(64 << 20)).unwrap();
    socket
}

/// A packet socket on an interface, with the prefilter.
pub(super) fn sniffer(interface: &str, prefilter: &Prefilter) -> OwnedFd {
    let socket = packet_socket();
    prefilter.attach(socket.as_fd()).unwrap();
    sys::bind(&socket, interface);
    socket
}

/// The next frame; None if none comes in `wait` milliseconds.
pub(super) fn next(socket: &OwnedFd, wait: u16) -> Option<Vec<u8>> {
    let mut buffer = vec![0; 65536];
    if poll(&mut [PollFd::new(socket.as_fd(), PollFlags::POLLIN)], PollTimeout::from(wait)).unwrap() == 0 {
        return None;
    }
    match recv(socket.as_raw_fd(), &mut buffer, MsgFlags::empty()) {
        Ok(len) => {
            buffer.truncate(len);
            Some(buffer)
        }
        Err(Errno::EAGAIN) => None,
        Err(error) => panic!("{error}"),
    }
}

/// System calls that need `unsafe`.
pub(super) mod sys {
    #![expect(unsafe_code, reason = "system calls of the tests")]

    use super::*;

    pub(in super::super) fn address(interface: &str) -> libc::sockaddr_ll {
        // SAFETY: zero is a value of all of its fields.
        let mut address: libc::sockaddr_ll = unsafe { core::mem::zeroed() };
        address.sll_family = u16::try_from(libc::AF_PACKET).unwrap();
        address.sll_ifindex = i32::try_from(if_nametoindex(interface).unwrap()).unwrap();
        address
    }

    fn len(address: &libc::sockaddr_ll) -> libc::socklen_t {
        libc::socklen_t::try_from(size_of_val(address)).unwrap()
    }

    pub(in super::super) fn bind(socket: &OwnedFd, interface: &str) {
        let mut address = address(interface);
        address.sll_protocol = u16::try_from(libc::ETH_P_ALL).unwrap().to_be();
        // SAFETY: the address is valid for its length.
        let result = unsafe { libc::bind(socket.as_raw_fd(), (&raw const address).cast(), len(&address)) };
        Errno::result(result).unwrap();
    }

    pub(in super::super) fn send_to(socket: &OwnedFd, address: &libc::sockaddr_ll, frame: &[u8]) {
        // SAFETY: frame and address are valid for their lengths.
        let result = unsafe {
            let to = core::ptr::from_ref(address).cast();
            libc::sendto(socket.as_raw_fd(), frame.as_ptr().cast(), frame.len(), 0, to, len(address))
        };
        assert_eq!(Errno::result(result), Ok(frame.len().cast_signed()));
    }

    pub(in super::super) fn send(socket: &OwnedFd, interface: &str, frame: &[u8]) {
        send_to(socket, &address(interface), frame);
    }

    /// Joins the fanout group 1, whose program chooses.
    pub(in super::super) fn join_fanout(socket: &OwnedFd) {
        const PACKET_FANOUT_EBPF: libc::c_int = 7;
        let group: libc::c_int = PACKET_FANOUT_EBPF << 16 | 1;
        let len = libc::socklen_t::try_from(size_of_val(&group)).unwrap();
        // SAFETY: the value is an int, and valid for its length.
        let result = unsafe {
            let value = (&raw const group).cast();
            libc::setsockopt(socket.as_raw_fd(), libc::SOL_PACKET, libc::PACKET_FANOUT, value, len)
        };
        Errno::result(result).unwrap();
    }

    /// A tun device: what is written arrives on it, without a link header.
    pub(in super::super) fn tun(name: &str) -> std::fs::File {
        let file = std::fs::OpenOptions::new().read(true).write(true).open("/dev/net/tun").unwrap();
        // SAFETY: zero is a value of all of its fields.
        let mut request: libc::ifreq = unsafe { core::mem::zeroed() };
        for (to, byte) in request.ifr_name.iter_mut().zip(name.bytes()) {
            *to = byte.cast_signed();
        }
        request.ifr_ifru.ifru_flags = i16::try_from(libc::IFF_TUN | libc::IFF_NO_PI).unwrap();
        // SAFETY: the request is what TUNSETIFF takes.
        let result = unsafe { libc::ioctl(file.as_raw_fd(), libc::TUNSETIFF, &raw mut request) };
        Errno::result(result).unwrap();
        file
    }
}
