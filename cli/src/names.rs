//! Names in `--filter`: the system's files and its resolver, then what is the same everywhere.
//!
//! `/etc/services`, `/etc/protocols`, `/etc/networks` and `/etc/ethers` are read when a name asks for them: services(5), protocols(5),
//! networks(5), ethers(5).

use std::fs;
use std::net::{IpAddr, Ipv4Addr, ToSocketAddrs};

use sniff_x_filter::{Names, Service, WellKnown};

/// The names that this system knows.
pub(crate) struct System;

impl Names for System {
    fn service(&self, name: &str) -> Service {
        let known = service(&read("/etc/services"), name);
        if known == Service::default() { WellKnown.service(name) } else { known }
    }

    fn protocol(&self, name: &str) -> Option<u8> {
        protocol(&read("/etc/protocols"), name).or_else(|| WellKnown.protocol(name))
    }

    fn host(&self, name: &str) -> Result<Vec<IpAddr>, String> {
        let found = (name, 0).to_socket_addrs().map_err(|error| error.to_string())?;
        let mut addresses = Vec::new();
        for address in found.map(|socket| socket.ip()) {
            if !addresses.contains(&address) {
                addresses.push(address);
            }
        }
        Ok(addresses)
    }

    fn ethernet(&self, name: &str) -> Result<[u8; 6], String> {
        let text = fs::read(ETHERS).map_err(|error| format!("{ETHERS} can't be read: {error}"))?;
        ethernet(&String::from_utf8_lossy(&text), name).ok_or_else(|| format!("{ETHERS} does not have it"))
    }

    fn network(&self, name: &str) -> Option<Ipv4Addr> {
        network(&read("/etc/networks"), name)
    }
}

const ETHERS: &str = "/etc/ethers";

/// A system without the file knows none of its names.
fn read(path: &str) -> String {
    String::from_utf8_lossy(&fs::read(path).unwrap_or_default()).into_owned()
}

/// What stands beside a name in a file of lines such as `http 80/tcp www # comment`.
fn beside(text: &str, is_name: impl Fn(&str) -> bool) -> impl Iterator<Item = &str> {
    text.lines().filter_map(move |line| {
        let mut words = line.split('#').next()?.split_ascii_whitespace();
        let (first, value) = (words.next()?, words.next()?);
        (is_name(first) || words.any(&is_name)).then_some(value)
    })
}

fn service(text: &str, name: &str) -> Service {
    let mut service = Service::default();
    for (port, transport) in beside(text, |word| word == name).filter_map(|value| value.split_once('/')) {
        let place = match transport {
            "tcp" => &mut service.tcp,
            "udp" => &mut service.udp,
            _ => continue,
        };
        *place = place.or_else(|| port.parse().ok());
    }
    service
}

fn protocol(text: &str, name: &str) -> Option<u8> {
    beside(text, |word| word == name).find_map(|value| value.parse().ok())
}

/// Networks may be written short, and with numbers as in C: `10`, `192.168`, `0xa.1`. Case does not count.
fn network(text: &str, name: &str) -> Option<Ipv4Addr> {
    beside(text, |word| word.eq_ignore_ascii_case(name)).find_map(|value| {
        let mut bytes = [0; 4];
        let mut parts = value.split('.');
        for (byte, part) in bytes.iter_mut().zip(&mut parts) {
            *byte = number(part)?;
        }
        parts.next().is_none().then(|| Ipv4Addr::from(bytes))
    })
}

/// A byte: hexadecimal behind `0x`, octal behind `0`.
fn number(text: &str) -> Option<u8> {
    let (digits, radix) = match (text.strip_prefix("0x"), text.strip_prefix('0')) {
        (Some(digits), _) => (digits, 16),
        (None, Some(digits)) if !digits.is_empty() => (digits, 8),
        _ => (text, 10),
    };
    u8::from_str_radix(digits, radix).ok()
}

/// The address of the first line that has the name, in whatever case; lines such as `2:0:0:0:0:1 gateway # comment`.
fn ethernet(text: &str, name: &str) -> Option<[u8; 6]> {
    text.lines().find_map(|line| {
        let mut words = line.split('#').next()?.split_ascii_whitespace();
        let address = address(words.next()?)?;
        words.next()?.eq_ignore_ascii_case(name).then_some(address)
    })
}

/// Six hexadecimal numbers, as the C library's strtoul(3) takes them.
fn address(text: &str) -> Option<[u8; 6]> {
    let bytes = text.split(':').map(|byte| {
        let digits = byte.strip_prefix("0x").or_else(|| byte.strip_prefix("0X")).unwrap_or(byte);
        u8::from_str_radix(digits, 16).ok()
    });
    bytes.collect::<Option<Vec<u8>>>()?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_the_systems_files() {
        let services =
            "# services\nhttp 80/tcp www # web\ndomain 53/tcp\ndomain 53/udp\nodd x/tcp\nntp\t123/udp\n";
        let of = |name| service(services, name);
        assert_eq!(of("www"), Service { tcp: Some(80), udp: None });
        assert_eq!(of("domain"), Service { tcp: Some(53), udp: Some(53) });
        assert_eq!(of("ntp"), Service { tcp: None, udp: Some(123) });
        assert_eq!((of("odd"), of("web")), (Service::default(), Service::default()));
        let protocols = "ip 0 IP # pseudo\nospf 89 OSPFIGP\n";
        assert_eq!((protocol(protocols, "OSPFIGP"), protocol(protocols, "tcp")), (Some(89), None));
        let ethers = "2:0:0:0:0:1 gw # x\n0x2:00:000:0:0:2\tHub more\n2:0:0:0:0:100 wide\n2:0:0:0:1 short\n#2:0:0:0:0:3 no\n2:0:0:0:0:4 gw";
        let of = |name| ethernet(ethers, name);
        assert_eq!((of("GW"), of("hub")), (Some([2, 0, 0, 0, 0, 1]), Some([2, 0, 0, 0, 0, 2])));
        assert_eq!([of("more"), of("wide"), of("short"), of("no"), of("x")], [None; 5]);
        let networks = "loopback 127.0.0.0\nten 10 Dix\nlong 1.2.3.4.5\nodd 0xa.010\nwide 256\n";
        assert_eq!(network(networks, "ten"), Some(Ipv4Addr::new(10, 0, 0, 0)));
        assert_eq!(network(networks, "LOOPBACK"), Some(Ipv4Addr::new(127, 0, 0, 0)));
        assert_eq!(network(networks, "dix"), network(networks, "ten"));
        assert_eq!(network(networks, "odd"), Some(Ipv4Addr::new(10, 8, 0, 0)));
        assert_eq!((network(networks, "long"), network(networks, "none")), (None, None));
        assert_eq!(network(networks, "wide"), None);
    }
}
