//! Names in `--filter`: the system's files and its resolver, then what is the same everywhere.
//!
//! `/etc/services`, `/etc/protocols` and `/etc/networks` are read when a name asks for them: services(5), protocols(5), networks(5).

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

    fn network(&self, name: &str) -> Option<Ipv4Addr> {
        network(&read("/etc/networks"), name)
    }
}

/// A system without the file knows none of its names.
fn read(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

/// What stands beside `name` in a file of lines such as `http 80/tcp www # comment`.
fn beside<'t>(text: &'t str, name: &'t str) -> impl Iterator<Item = &'t str> {
    text.lines().filter_map(move |line| {
        let mut words = line.split('#').next()?.split_whitespace();
        let (first, value) = (words.next()?, words.next()?);
        (first == name || words.any(|alias| alias == name)).then_some(value)
    })
}

fn service(text: &str, name: &str) -> Service {
    let mut service = Service::default();
    for (port, transport) in beside(text, name).filter_map(|value| value.split_once('/')) {
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
    beside(text, name).find_map(|value| value.parse().ok())
}

/// Networks may be written short: `10`, `192.168`.
fn network(text: &str, name: &str) -> Option<Ipv4Addr> {
    beside(text, name).find_map(|value| {
        let mut bytes = [0; 4];
        let mut parts = value.split('.');
        for byte in &mut bytes {
            match parts.next() {
                Some(part) => *byte = part.parse().ok()?,
                None => break,
            }
        }
        parts.next().is_none().then(|| Ipv4Addr::from(bytes))
    })
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
        let networks = "loopback 127.0.0.0\nten 10\nlong 1.2.3.4.5\n";
        assert_eq!(network(networks, "ten"), Some(Ipv4Addr::new(10, 0, 0, 0)));
        assert_eq!(network(networks, "loopback"), Some(Ipv4Addr::new(127, 0, 0, 0)));
        assert_eq!((network(networks, "long"), network(networks, "none")), (None, None));
    }
}
