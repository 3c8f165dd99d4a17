//! The interfaces of this host.

use core::net::IpAddr;

use sniff_x_flow::LinkType;

use crate::CaptureError;

/// An interface of this host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Device {
    /// Its name.
    pub name: String,
    /// Its index in the kernel, which a frame gives as its interface; 0 where that is unknown.
    pub index: u32,
    /// How its frames begin; none for a kind of link that can't be read.
    pub link_type: Option<LinkType>,
    /// It is switched on.
    pub up: bool,
    /// It can carry frames: a cable is in, the other end is there.
    pub running: bool,
    /// It is the loopback interface.
    pub loopback: bool,
    /// Its addresses.
    pub addresses: Vec<IpAddr>,
}

/// All interfaces of this host (in the calling thread's network namespace), in the kernel's order.
///
/// # Errors
/// [`CaptureError::System`] when the system doesn't tell.
#[cfg(target_os = "linux")]
pub fn devices() -> Result<Vec<Device>, CaptureError> {
    use crate::afpacket::{block, socket};
    use nix::ifaddrs::getifaddrs;
    use nix::net::if_::InterfaceFlags;

    let addresses =
        getifaddrs().map_err(|error| CaptureError::System { call: "getifaddrs", error: error.into() })?;
    let mut devices: Vec<Device> = Vec::new();
    for entry in addresses {
        let name = entry.interface_name;
        let at = devices.iter().position(|device| device.name == name).unwrap_or_else(|| {
            devices.push(Device {
                name,
                index: 0,
                link_type: None,
                up: entry.flags.contains(InterfaceFlags::IFF_UP),
                running: entry.flags.contains(InterfaceFlags::IFF_RUNNING),
                loopback: entry.flags.contains(InterfaceFlags::IFF_LOOPBACK),
                addresses: Vec::new(),
            });
            devices.len() - 1
        });
        let (Some(device), Some(address)) = (devices.get_mut(at), entry.address) else { continue };
        if let Some(link) = address.as_link_addr() {
            device.index = u32::try_from(link.ifindex()).unwrap_or(0);
            device.link_type = block::link_type(link.hatype());
        } else if let Some(v4) = address.as_sockaddr_in() {
            device.addresses.push(v4.ip().into());
        } else if let Some(v6) = address.as_sockaddr_in6() {
            device.addresses.push(v6.ip().into());
        }
    }
    for device in devices.iter_mut().filter(|device| device.index == 0) {
        // A link without addresses of its own (a tun device) has no entry that tells.
        device.index = nix::net::if_::if_nametoindex(device.name.as_str()).unwrap_or(0);
        device.link_type = socket::hardware(&device.name).and_then(block::link_type);
    }
    // A name that has addresses but no link is an alias (eth0:1): nothing to capture from.
    devices.retain(|device| device.index != 0);
    Ok(devices)
}

/// All interfaces that libpcap knows.
///
/// # Errors
/// [`CaptureError::Libpcap`].
#[cfg(all(not(target_os = "linux"), feature = "libpcap"))]
pub fn devices() -> Result<Vec<Device>, CaptureError> {
    let list = pcap::Device::list().map_err(|error| CaptureError::Libpcap(error.to_string()))?;
    Ok(list
        .into_iter()
        .map(|device| Device {
            name: device.name,
            index: 0,
            link_type: None,
            up: device.flags.if_flags.contains(pcap::IfFlags::UP),
            running: device.flags.if_flags.contains(pcap::IfFlags::RUNNING),
            loopback: device.flags.if_flags.contains(pcap::IfFlags::LOOPBACK),
            addresses: device.addresses.into_iter().map(|address| address.addr).collect(),
        })
        .collect())
}

/// This build captures nowhere on this system.
///
/// # Errors
/// Always [`CaptureError::Config`].
#[cfg(all(not(target_os = "linux"), not(feature = "libpcap")))]
pub fn devices() -> Result<Vec<Device>, CaptureError> {
    Err(CaptureError::Config(
        "live capture on this system needs the libpcap backend (cargo feature libpcap)".into(),
    ))
}
