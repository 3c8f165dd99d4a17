//! What libpcap takes, on Ethernet, we take: random words of the language.

use sniff_x_flow::LinkType;

use crate::support::Judge;

/// Nothing here can be the name of a host: libpcap would ask the system's resolver for it.
const WORDS: &str = "tcp udp ip ip6 arp rarp icmp sctp port host net src dst and or not ( ) ! 80 443 10.0.0.1 10.0 1.10 fe80::1 \
    proto protochain 6 \\tcp \\ip ether mask 255.255.0.0 / 8 icmp6 vlan tcp[13] & | = < len 5 mpls + 1:2:3:4:5:6 broadcast multicast less \
    greater llc iso isis byte inbound outbound ifindex gateway pppoes pppoed geneve 300 0 4294967295 ether[0] ip[2:2] link - * && || \
    fe80::/10 10.0.0.0/8 aa:bb:cc:dd:ee:ff aabb.ccdd.eeff aa-bb-cc-dd-ee-ff 1.2 type subtype dir radio wlan lane on decnet atalk stp l1 \
    igmp tcpflags 0x10 010 [ ] : == != >= <= << >> % ^ length action vpi oam sio addr1 ppp slip fddi carp vrrp sca lat moprc mopdl \
    netbeui ipx aarp pim igrp ah esp csnp bcc tcp-syn icmptype";

#[test]
fn what_libpcap_takes_is_taken() {
    let words: Vec<&str> =
        WORDS.split_whitespace().chain(["port http", "portrange 1-100", "llc ui"]).collect();
    let mut state = 88_172_645_463_325_252_u64;
    let mut next = |n: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 11) as usize % n
    };
    let (mut taken, mut refused) = (0, Vec::new());
    for _ in 0..TEXTS {
        let text = (0..=next(6)).map(|_| words[next(words.len())]).collect::<Vec<_>>().join(" ");
        if Judge::new(LinkType::ETHERNET, &text).is_ok() {
            taken += 1;
            if let Err(why) = sniff_x_filter::parse(&text) {
                refused.push(why.to_string());
            }
        }
    }
    println!("{taken} of {TEXTS} texts are expressions");
    assert!(taken > TEXTS / 50, "{taken}");
    assert!(refused.is_empty(), "{}", refused.join("\n"));
}

/// Texts that are tried.
const TEXTS: usize = 40_000;
