//! The names that stand for a protocol by themselves, and what each asks for.

/// A protocol by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Protocol {
    Ether,
    Ip,
    Ip6,
    Arp,
    Rarp,
    Tcp,
    Udp,
    Sctp,
    Icmp,
    Icmp6,
    Igmp,
    Igrp,
    Pim,
    Vrrp,
    Carp,
    Ah,
    Esp,
    Atalk,
    Aarp,
    Decnet,
    Lat,
    Sca,
    Moprc,
    Mopdl,
    Iso,
    Esis,
    Isis,
    Clnp,
    L1,
    L2,
    Iih,
    Lsp,
    Snp,
    Csnp,
    Psnp,
    Stp,
    Ipx,
    Netbeui,
    Radio,
}

/// What a protocol's name alone asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Asks {
    /// The link layer announces this type, or up to 1500 this 802.2 service access point.
    Link(u32),
    /// The IP header, of one version or of either, announces this protocol.
    Ip(u8, Option<Family>),
    /// The OSI network layer announces this protocol.
    Iso(u8),
    /// IS-IS with one of these types, in the order in which libpcap asks.
    Isis(&'static [u8]),
    /// Nothing by itself: it qualifies what follows.
    Nothing,
}

impl Protocol {
    pub(crate) const ALL: [(&'static str, Self); 47] = [
        ("ether", Self::Ether),
        ("link", Self::Ether),
        ("ppp", Self::Ether),
        ("slip", Self::Ether),
        ("fddi", Self::Ether),
        ("tr", Self::Ether),
        ("wlan", Self::Ether),
        ("ip", Self::Ip),
        ("ip6", Self::Ip6),
        ("arp", Self::Arp),
        ("rarp", Self::Rarp),
        ("tcp", Self::Tcp),
        ("udp", Self::Udp),
        ("sctp", Self::Sctp),
        ("icmp", Self::Icmp),
        ("icmp6", Self::Icmp6),
        ("igmp", Self::Igmp),
        ("igrp", Self::Igrp),
        ("pim", Self::Pim),
        ("vrrp", Self::Vrrp),
        ("carp", Self::Carp),
        ("ah", Self::Ah),
        ("esp", Self::Esp),
        ("atalk", Self::Atalk),
        ("aarp", Self::Aarp),
        ("decnet", Self::Decnet),
        ("lat", Self::Lat),
        ("sca", Self::Sca),
        ("moprc", Self::Moprc),
        ("mopdl", Self::Mopdl),
        ("iso", Self::Iso),
        ("esis", Self::Esis),
        ("es-is", Self::Esis),
        ("isis", Self::Isis),
        ("is-is", Self::Isis),
        ("clnp", Self::Clnp),
        ("l1", Self::L1),
        ("l2", Self::L2),
        ("iih", Self::Iih),
        ("lsp", Self::Lsp),
        ("snp", Self::Snp),
        ("csnp", Self::Csnp),
        ("psnp", Self::Psnp),
        ("stp", Self::Stp),
        ("ipx", Self::Ipx),
        ("netbeui", Self::Netbeui),
        ("radio", Self::Radio),
    ];

    pub(crate) fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().find(|(word, _)| *word == name).map(|(_, protocol)| *protocol)
    }

    pub(crate) fn name(self) -> &'static str {
        Self::ALL.iter().find(|(_, protocol)| *protocol == self).map_or("", |(word, _)| word)
    }

    pub(crate) const fn asks(self) -> Asks {
        match self {
            Self::Ether | Self::Radio => Asks::Nothing,
            Self::Ip => Asks::Link(ether::IPV4),
            Self::Ip6 => Asks::Link(ether::IPV6),
            Self::Arp => Asks::Link(ether::ARP),
            Self::Rarp => Asks::Link(ether::RARP),
            Self::Atalk => Asks::Link(ether::ATALK),
            Self::Aarp => Asks::Link(ether::AARP),
            Self::Decnet => Asks::Link(ether::DECNET),
            Self::Lat => Asks::Link(0x6004),
            Self::Sca => Asks::Link(0x6007),
            Self::Moprc => Asks::Link(0x6002),
            Self::Mopdl => Asks::Link(0x6001),
            Self::Iso => Asks::Link(sap::ISO),
            Self::Stp => Asks::Link(sap::STP),
            Self::Ipx => Asks::Link(sap::IPX),
            Self::Netbeui => Asks::Link(sap::NETBEUI),
            Self::Tcp => Asks::Ip(ip::TCP, None),
            Self::Udp => Asks::Ip(ip::UDP, None),
            Self::Sctp => Asks::Ip(ip::SCTP, None),
            Self::Icmp => Asks::Ip(ip::ICMP, Some(Family::V4)),
            Self::Icmp6 => Asks::Ip(ip::ICMP6, Some(Family::V6)),
            Self::Igmp => Asks::Ip(2, Some(Family::V4)),
            Self::Igrp => Asks::Ip(9, Some(Family::V4)),
            Self::Pim => Asks::Ip(103, None),
            Self::Vrrp | Self::Carp => Asks::Ip(112, Some(Family::V4)),
            Self::Ah => Asks::Ip(51, None),
            Self::Esp => Asks::Ip(50, None),
            Self::Clnp => Asks::Iso(0x81),
            Self::Esis => Asks::Iso(0x82),
            Self::Isis => Asks::Iso(iso::ISIS),
            Self::L1 => Asks::Isis(&[26, 24, 18, 15, 17]),
            Self::L2 => Asks::Isis(&[27, 25, 20, 16, 17]),
            Self::Iih => Asks::Isis(&[17, 15, 16]),
            Self::Lsp => Asks::Isis(&[18, 20]),
            Self::Snp => Asks::Isis(&[27, 26, 24, 25]),
            Self::Csnp => Asks::Isis(&[24, 25]),
            Self::Psnp => Asks::Isis(&[26, 27]),
        }
    }
}

/// Numbers of network protocols (<https://www.iana.org/assignments/ieee-802-numbers>).
pub(crate) mod ether {
    pub(crate) const IPV4: u32 = 0x0800;
    pub(crate) const ARP: u32 = 0x0806;
    pub(crate) const RARP: u32 = 0x8035;
    pub(crate) const IPV6: u32 = 0x86dd;
    pub(crate) const DECNET: u32 = 0x6003;
    pub(crate) const ATALK: u32 = 0x809b;
    pub(crate) const AARP: u32 = 0x80f3;
    pub(crate) const IPX: u32 = 0x8137;
    pub(crate) const MPLS: u32 = 0x8847;
    pub(crate) const PPPOE_DISCOVERY: u32 = 0x8863;
    pub(crate) const PPPOE_SESSION: u32 = 0x8864;
    /// VLAN tags: 802.1Q, 802.1ad, and the outer tag's number before 802.1ad.
    pub(crate) const TAGS: [u32; 3] = [0x8100, 0x88a8, 0x9100];
    /// What libpcap calls `loopback`.
    pub(crate) const LOOPBACK: u32 = 0x9000;
    /// Up to here the field is a length.
    pub(crate) const LARGEST_LENGTH: u32 = 1500;
}

/// 802.2 service access points.
pub(crate) mod sap {
    pub(crate) const STP: u32 = 0x42;
    pub(crate) const IPX: u32 = 0xe0;
    pub(crate) const NETBEUI: u32 = 0xf0;
    pub(crate) const ISO: u32 = 0xfe;
}

/// Numbers of OSI network layer protocols.
pub(crate) mod iso {
    pub(crate) const ISIS: u8 = 0x83;
}

/// Numbers of transport protocols (<https://www.iana.org/assignments/protocol-numbers>).
pub(crate) mod ip {
    pub(crate) const ICMP: u8 = 1;
    pub(crate) const TCP: u8 = 6;
    pub(crate) const UDP: u8 = 17;
    pub(crate) const FRAGMENT: u8 = 44;
    pub(crate) const ICMP6: u8 = 58;
    pub(crate) const SCTP: u8 = 132;
}

/// The version of IP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Family {
    V4,
    V6,
}
