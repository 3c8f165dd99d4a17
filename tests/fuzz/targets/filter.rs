//! Filters of any text: what parses prints as what parses the same, has a verdict on any frame, and compiles for every link.
//!
//! Input: the length of the text (16 bits), the text, a frame as the packet target has it.

use sniff_x_filter::{CompileError, EbpfOptions, Link, RuleSet, parse};
use sniff_x_flow::packet::{FlowHasher, Parsed, parse as packet};

use super::packet::{frame, head};
use crate::harness::input::Input;
use crate::harness::signal::Signal;
use crate::seeds::Seeds;

pub(crate) const WORDS: &[&[u8]] = &[
    b" and ",
    b" or ",
    b"not ",
    b"!",
    b"(",
    b")",
    b" && ",
    b" || ",
    b"tcp ",
    b"udp ",
    b"ip ",
    b"ip6 ",
    b"arp ",
    b"rarp ",
    b"sctp ",
    b"icmp ",
    b"icmp6 ",
    b"src ",
    b"dst ",
    b"src or dst ",
    b"src and dst ",
    b"host ",
    b"net ",
    b"port ",
    b"portrange ",
    b"proto ",
    b"ether ",
    b"ether host ",
    b"vlan ",
    b"vlan 5 and ",
    b"mpls ",
    b"pppoes ",
    b"geneve ",
    b"multicast",
    b"broadcast",
    b"less ",
    b"greater ",
    b"len ",
    b"gateway ",
    b"inbound",
    b"outbound",
    b"tcp[13] & 2 != 0",
    b"ip[0] & 0xf",
    b"ether[12:2]",
    b"tcp[tcpflags]",
    b"tcp-syn",
    b"icmptype",
    b"protochain ",
    b" mask ",
    b"10.0.0.1",
    b"10/8",
    b"10.0.0.0/8",
    b"::1",
    b"2001:db8::/32",
    b"1-1024",
    b"80 or 443",
    b"http",
    b"mysql",
    b"0x50",
    b"\\tcp",
    b"00:11:22:33:44:55",
    b"=",
    b"==",
    b">=",
    b"<<",
    b"*",
    b"/",
    b"%",
    b"^",
    b"|",
    b"&",
    b"-",
    b"+",
    b"[",
    b"]",
    b":",
];

const RULES: &[&str] = &[
    "",
    "tcp",
    "tcp and port 3306",
    "udp port 53 or tcp port 53",
    "not (src host 10.0.0.1 and dst net 10.1.0.0/16)",
    "ip6 and tcp portrange 8000-8100",
    "ether proto 0x0800 and ip proto 6",
    "host 2001:db8::1 or arp",
    "tcp port 80 or 443 or 8080 and not host 192.168.1.1",
    "net 10.0.0.0 mask 255.0.0.0",
    "vlan 5 and tcp[13] & 2 != 0",
    "icmp or icmp6 or igmp",
];

pub(crate) fn seeds(seeds: &Seeds) -> Vec<Vec<u8>> {
    let mut all = Vec::new();
    for (n, frame) in seeds.frames(120).into_iter().enumerate() {
        let Some(head) = head(frame.link_type) else { continue };
        let text = RULES[n % RULES.len()].as_bytes();
        let bytes = &frame.bytes[..frame.bytes.len().min(200)];
        all.push([&(text.len() as u16).to_le_bytes(), text, &head, bytes].concat());
    }
    all
}

pub(crate) fn run(data: &[u8], signal: &mut Signal) {
    let mut input = Input(data);
    let len = usize::from(input.u16());
    let text = String::from_utf8_lossy(input.bytes(len));
    let frame = frame(&mut input);
    let expression = match parse(&text) {
        Ok(expression) => expression,
        Err(error) => {
            assert!(error.offset() + error.len() <= text.len(), "the error is behind the text");
            assert!(!error.message().contains('\n'), "a message of several lines");
            assert_eq!(error.to_string().lines().count(), 3, "message, line, carets");
            // The words of ours; what they quote of the text differs every time.
            let ours = |word: &&str| word.bytes().all(|b| b.is_ascii_lowercase()) && !text.contains(word);
            for word in error.message().split(' ').filter(ours) {
                signal.note(word);
            }
            return;
        }
    };
    let shown = expression.to_string();
    assert_eq!(parse(&shown).as_ref(), Ok(&expression), "{shown:?} is another expression");
    // Which words follow which.
    for word in
        shown.split(' ').filter(|word| WORDS.iter().any(|known| known.trim_ascii() == word.as_bytes()))
    {
        signal.note(word);
    }

    let frame_mode = expression.matches_frame(&frame);
    let parsed = packet(&frame, &FlowHasher::with_seed(1));
    let flow_mode = match &parsed {
        Parsed::Tcp(segment) => Some(&segment.packet),
        Parsed::Udp(datagram) => Some(&datagram.packet),
        _ => None,
    };
    if let Some(packet) = flow_mode {
        let matches = expression.matches_packet(packet);
        // A rule that asks for the packet asks for its connection.
        assert!(!matches || expression.matches_flow(&packet.key), "the packet's flow is not asked for");
        signal.note((matches, frame_mode));
    }
    if expression.is_empty() {
        assert!(frame_mode, "the empty expression matches everything");
    }
    for (filter, rules) in [(Some(expression.clone()), vec![]), (None, vec![expression])] {
        let rules = RuleSet { filter, rules };
        for link in [Link::Ethernet, Link::RawIp, Link::Any] {
            match rules.compile_ebpf(&EbpfOptions { accept: u32::MAX, counters_fd: Some(3), link }) {
                Ok(program) => {
                    // The last instruction: exit, or a jump backward does not exist in what is generated.
                    let instructions = program.as_chunks::<8>();
                    assert!(instructions.1.is_empty(), "half an instruction");
                    assert_eq!(instructions.0.last().map(|i| i[0]), Some(0x95), "it ends by leaving");
                    signal.count("program", program.len() as u64);
                }
                Err(CompileError::TooLarge { instructions, .. }) => assert!(instructions > 32_000),
                // What libpcap refuses on this link, too.
                Err(CompileError::Refused(_)) => assert!(rules.filter.is_some() && link != Link::Any),
                Err(error) => panic!("{error}"),
            }
            match rules.compile_cbpf(u32::MAX, link) {
                // The kernel takes no program that does not end by leaving.
                Ok(program) => assert_eq!(program.last().map(|i| i.code), Some(0x06)),
                Err(CompileError::TooLarge { instructions, .. }) => assert!(instructions > 4096),
                Err(_) => {}
            }
        }
    }
}
