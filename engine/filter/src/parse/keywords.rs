//! The words that libpcap's language gives a meaning, and those of them that have none here yet.

use crate::ast::Protocol;

pub(super) fn is_keyword(word: &str) -> bool {
    Protocol::from_name(word).is_some()
        || matches!(word, "src" | "dst" | "host" | "net" | "mask" | "port" | "portrange" | "proto")
        || is_not_yet(word)
}

/// Whether the word belongs to a part of the language that is not supported yet.
pub(super) fn is_not_yet(word: &str) -> bool {
    NOT_YET.split(' ').any(|keyword| keyword == word)
}

/// From libpcap's `scanner.l`.
const NOT_YET: &str = "\
    vlan mpls pppoed pppoes geneve less greater len length byte inbound outbound ifindex gateway \
    broadcast multicast protochain ppp slip fddi tr wlan radio atalk aarp decnet lat sca moprc mopdl \
    iso esis es-is isis is-is l1 l2 iih lsp snp csnp psnp clnp stp ipx netbeui type subtype \
    direction dir addr1 addr2 addr3 addr4 address1 address2 address3 address4 ra ta llc lane metac \
    bcc oam oamf4 oamf4ec oamf4sc sc ilmic vpi vci connectmsg metaconnect on ifname rset ruleset rnr \
    rulenum srnr subrulenum reason action fisu lssu lsu msu hfisu hlssu hmsu sio opc dpc sls hsio \
    hopc hdpc hsls";
