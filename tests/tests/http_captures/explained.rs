//! Where the events and tshark differ, and who is right by the bytes.

/// A capture, what differs there for the same reason (the client's port first), why.
pub(super) type Explained = (&'static str, &'static [&'static str], &'static str);

/// From tshark.
pub(super) const TSHARK: &[Explained] = &[
    (
        "http1/PcapPlusPlus__example",
        &["44152: ends earlier", "44153: ends earlier"],
        "The last byte was captured before a hole in front of it was filled: the event ends with that byte.",
    ),
    (
        "http1/PcapPlusPlus__http-packets",
        &[
            "8868: answered 200",
            "8869: answered 200",
            "8870: answered 200",
            "8870: answered 404",
            "8871: answered 200",
            "8871: answered 404",
            "8872: answered 200",
            "8873: answered 200",
        ],
        "Holes inside chunks whose length is known: tshark stops there, the response ends where it says.",
    ),
    (
        "http1/PcapPlusPlus__http-packets2",
        &["44300: ends earlier"],
        "A body up to the end of the connection: tshark takes the FIN, the event ends with the last byte.",
    ),
    (
        "http1/PcapPlusPlus__http-packets2",
        &["44300: response's size is 194, not 282"],
        "A compressed body up to the end of the connection: tshark has no length of it but the decompressed one.",
    ),
    (
        "http1/nDPI__WebattackRCE",
        &[
            "50632: target is /cgi-bin/handler/netsonar;cat /etc/passwd|?data=Download, not /cgi-bin/handler/netsonar;cat",
        ],
        "A target with a space in it: the version is the last word of the line.",
    ),
    (
        "http1/percona-toolkit__http_tcpdump003",
        &[
            "34386: ends earlier",
            "42961: ends earlier",
            "42962: ends earlier",
            "42967: ends earlier",
            "42968: ends earlier",
            "42971: ends earlier",
            "42972: ends earlier",
            "42973: ends earlier",
            "42975: ends earlier",
            "42977: ends earlier",
            "42991: ends earlier",
        ],
        "The last byte was captured before a hole in front of it was filled: the event ends with that byte.",
    ),
    (
        "http1/percona-toolkit__http_tcpdump004",
        &["42962: ends earlier"],
        "The last byte was captured before a hole in front of it was filled: the event ends with that byte.",
    ),
    (
        "http1/suricata-verify__filestore-5408",
        &[
            "64540: 2 responses more",
            "64540: answered 200",
            "64670: 2 responses more",
            "64670: answered 200",
            "64694: 1 responses more",
            "64694: answered 200",
            "64736: 1 responses more",
            "64736: answered 200",
        ],
        "tshark pairs the response with the retransmission of the request (frame numbers three higher).",
    ),
    (
        "http1/suricata-verify__http-encoding-gzip-uncompressed",
        &["46063: request's size is 106, not 0"],
        "Says gzip and is not: tshark fails to decompress it and shows nothing.",
    ),
    (
        "http1/suricata-verify__http-event-chunk",
        &["54588: ends earlier"],
        "A body up to the end of the connection: tshark takes the FIN, the event ends with the last byte.",
    ),
    (
        "http1/suricata-verify__http-event-chunk",
        &["54588: request's size is 12, not 8"],
        "Chunks of 8 and 4 bytes (\"tototata\", \"titi\"), sizes with a space behind them; tshark stops at the first.",
    ),
    (
        "http1/suricata-verify__http-missing-protocol",
        &[
            "49160: agent is , not Mozilla/5.0 (Windows NT 6.1; Win64; x64) AppleWebKit/537.36 ",
            "49160: answered null",
            "49160: host is , not 5.8.88.25",
        ],
        "A line without a version is a request as before HTTP/1.0: the fields behind it are none, and the response has no head.",
    ),
    (
        "http1/suricata-verify__http-multiple-cl",
        &[
            "52448: request's size is 11, not 93",
            "52448: request's size is 98, not 17",
            "52448: target is /evil.php, not /bad.php",
        ],
        "Content-Length 11, then 93: the server read 11 bytes as its single response tells; the notice tells of both.",
    ),
    (
        "http1/suricata-verify__http1-noint-status",
        &["64477: incomplete: malformed"],
        "\"HTTP/1.0 2XX OK\" has no status code.",
    ),
    (
        "http1/zeek__1000-requests-one-dropped-response",
        &["44730: answered 200"],
        "Behind the hole of the first response tshark dissects no further one; Zeek does (see below).",
    ),
    (
        "http1/zeek__206_example_c",
        &["19950: answered 206", "19953: answered 206"],
        "From one response of several ranges on tshark puts nothing together in this connection; each request has its 206 behind it.",
    ),
    (
        "http1/zeek__communityid-tcp",
        &["34855: incomplete: gap"],
        "Cut by the snap length in the middle of both heads.",
    ),
    (
        "http1/zeek__content-length-overflow",
        &["54321: incomplete: eof"],
        "Cut after the first bytes of a body of 2.2 GB.",
    ),
    (
        "http1/zeek__dce-rpc-mapi",
        &["1066: 1 responses more"],
        "Joined in the middle: the response belongs to a request that was not captured.",
    ),
    (
        "http1/zeek__dce-rpc-mapi",
        &["1067: ends earlier"],
        "The last byte was captured before a hole in front of it was filled: the event ends with that byte.",
    ),
    (
        "http1/zeek__entity_gap",
        &["59856: answered 200"],
        "A hole inside a body whose length is known: tshark stops there, the response ends where it says.",
    ),
    (
        "http1/zeek__entity_gap2",
        &["59856: answered 200"],
        "A hole inside a body whose length is known: tshark stops there, the response ends where it says.",
    ),
    (
        "http1/zeek__http-11-request-then-cruft",
        &["51792: 1 responses more"],
        "The second \"request\" is \"T / HTTP\" and is told as malformed; the 400 belongs to it.",
    ),
    (
        "http1/zeek__http-bad-content-range-01",
        &["42226: ends earlier"],
        "A body up to the end of the connection: tshark takes the FIN, minutes later.",
    ),
    (
        "http1/zeek__http-single-conn-22",
        &["51889: ends earlier"],
        "A body up to the end of the connection: tshark takes the FIN, the event ends with the last byte.",
    ),
    (
        "http1/zeek__methods",
        &["46563: target is , not HTTP/1.1"],
        "A request without a target: tshark takes the version for it.",
    ),
    (
        "http1/zeek__methods",
        &["46565: 0 exchanges, not 1", "46578: 0 exchanges, not 1"],
        "The line has no target and no version that is one: not a request.",
    ),
    (
        "http1/zeek__ncp",
        &["3287: ends earlier"],
        "A body up to the end of the connection: tshark takes the FIN, the event ends with the last byte.",
    ),
    (
        "http1/zeek__ncp",
        &["3287: response's size is 32, not 6"],
        "A compressed body up to the end of the connection: tshark has no length of it but the decompressed one.",
    ),
    (
        "http1/zeek__no-uri",
        &["59856: target is , not HTTP/1.1"],
        "A request without a target: tshark takes the version for it.",
    ),
    ("http1/zeek__socks", &["53994: 0 exchanges, not 7"], "A SOCKS handshake comes first: another protocol."),
    (
        "http1/zeek__variant-09-te_obs_fold",
        &["40009: 2 exchanges, not 1"],
        "\"Transfer-Encoding:\" with \"chunked\" in a folded line: RFC 9112, 5.2 has the fold as a space, so the body is chunked and a second request follows.",
    ),
    (
        "http2/wireshark__grpc_web",
        &[
            "51481: ends later",
            "51481: request's size is 106680, not 4096",
            "51481: response's size is 106716, not 69224",
            "54733: ends later",
            "54733: response's size is 56, not 28",
        ],
        "Several chunks, each dissected as a message of gRPC: tshark gives the size and the frame of one.",
    ),
    (
        "link/wireshark__communityid",
        &["34855: incomplete: gap"],
        "Cut by the snap length in the middle of both heads.",
    ),
    (
        "link/zeek__doc-advanced-devel-plugins-connkey-vxlan-fivetuple-plugin-src-Traces-vxlan-overlapping-http-get",
        &["59856: 3 exchanges, not 1"],
        "Three tunnels with the same inner addresses: three connections. tshark has one.",
    ),
    (
        "link/zeek__mixed-vlan-mpls",
        &["50343: answered null"],
        "\"GET / \" without a version; the response is no HTTP/1.",
    ),
    (
        "link/zeek__tunnels-gtp-gtp1_gn_normal_incl_fragmentation",
        &["1923: answered 206"],
        "A hole inside a body whose length is known: tshark stops there, the response ends where it says.",
    ),
    (
        "link/zeek__tunnels-socks",
        &["62270: 0 exchanges, not 1"],
        "A SOCKS handshake comes first: another protocol.",
    ),
    (
        "link/zeek__vlan-collisions",
        &["59856: 3 exchanges, not 2"],
        "The same addresses in two VLANs: connections of their own.",
    ),
    (
        "nasty/nDPI__fuzz-2006-09-29-28586",
        &["2604: 1 exchanges, not 0", "2605: tshark has nothing", "2606: tshark has nothing"],
        "Bytes flipped at random: sequence numbers and lengths too, so tshark puts other segments together.",
    ),
    (
        "nasty/nDPI__fuzz-2006-09-29-28586",
        &["53132: host is %s\u{0}2.20.3.5, not %s"],
        "A zero byte inside the value: tshark ends there.",
    ),
    (
        "nasty/suricata-verify__http-evader--http-evader-008",
        &["5099: response's size is 68, not 15"],
        "A size line \"f\\r\\r\\n\": white space behind the size; tshark stops after the first chunk.",
    ),
    (
        "nasty/suricata-verify__http-evader--http-evader-064",
        &["5799: response's size is 143, not 68"],
        "\"chunkedx\" is no coding that is known: the body goes up to the end of the connection. tshark reads chunks.",
    ),
    (
        "nasty/suricata-verify__http-evader--http-evader-088",
        &["6119: ends earlier", "6119: response's size is 68, not 143"],
        "A tab before the colon: told as odd and read as chunks; tshark does not know the field.",
    ),
    (
        "nasty/suricata-verify__http-evader--http-evader-120",
        &["10215: response's size is 70, not 0"],
        "An empty Content-Encoding: nothing is compressed; tshark shows no body.",
    ),
    (
        "nasty/suricata-verify__http-evader--http-evader-168",
        &["10859: response's size is 68, not 0"],
        "Content-Encoding \"deflate,\": tshark shows no body where it fails to decompress.",
    ),
    (
        "nasty/suricata-verify__http-evader--http-evader-216",
        &["11469: response's size is 95, not 0"],
        "An empty Content-Encoding, another line end: tshark shows no body.",
    ),
    (
        "nasty/suricata-verify__http-evader--http-evader-248",
        &["15179: response's size is 68, not 34"],
        "\"34\" folded with \" 68\" is no length, so the body goes up to the end of the connection, as the 68 bytes do.",
    ),
    (
        "nasty/suricata-verify__http-evader--http-evader-264",
        &["15409: ends earlier"],
        "No valid length (\"68.9\"): up to the end of the connection; tshark takes the FIN.",
    ),
    (
        "nasty/suricata-verify__http-evader--http-evader-272",
        &["20089: ends earlier"],
        "\" Transfer-Encoding: chunked\" is a fold of the line before it, so no field: up to the end of the connection; tshark takes the FIN.",
    ),
    (
        "nasty/suricata-verify__http-evader--http-evader-280",
        &["20189: response's size is 68, not 216"],
        "A line with DEL alone between the fields: told as odd, the fields behind it count; tshark ends the head there.",
    ),
    (
        "nasty/suricata-verify__http-evader--http-evader-288",
        &["20329: ends earlier", "20329: response's size is 68, not 144"],
        "Two CR before \"Transfer-Encoding\" make another name of it: told as odd; the Content-Length of 68 counts.",
    ),
    (
        "nasty/suricata-verify__http-evader--http-evader-296",
        &["20469: ends earlier", "20469: response's size is 158, not 214"],
        "The name is on one line and \" :chunked\" on the next: no field, told as odd; up to the end of the connection.",
    ),
    (
        "nasty/suricata-verify__http-evader--http-evader-312",
        &["20669: response's size is 158, not 68"],
        "\"chunked\" with a DEL behind it is no coding that is known: up to the end of the connection.",
    ),
    (
        "nasty/suricata-verify__http-evader--http-evader-328",
        &["20879: response's size is 88, not 0"],
        "Content-Encoding \"gzip,\": tshark shows no body where it fails to decompress.",
    ),
    (
        "nasty/suricata-verify__http-evader--http-evader-344",
        &["21049: response's size is 70, not 0"],
        "An unknown Content-Encoding: tshark shows no body.",
    ),
    (
        "nasty/suricata-verify__http-evader--http-evader-376",
        &["21429: incomplete: malformed"],
        "A status line without a code.",
    ),
    (
        "nasty/suricata-verify__http-evader--http-evader-392",
        &["21649: incomplete: malformed"],
        "A zero byte in the version of the status line.",
    ),
    (
        "nasty/suricata-verify__http-evader--http-evader-424",
        &["22155: response's size is 88, not 0"],
        "Says gzip and is not: tshark shows no body.",
    ),
    (
        "nasty/suricata-verify__http-evader--http-evader-472",
        &["22679: incomplete: malformed"],
        "Four digits are no status code.",
    ),
    (
        "nasty/suricata-verify__http-request-invalid",
        &["46160: 1 responses more", "46162: 1 responses more"],
        "A POST with a body that no length announces: the server answers the body with a 400 of its own, to no request.",
    ),
    (
        "other/arkime__arkime_synthetic",
        &["51001: ends earlier", "51002: ends earlier", "51003: ends earlier"],
        "A body up to the end of the connection: tshark takes the FIN, the event ends with the last byte.",
    ),
    (
        "reassembly/PcapPlusPlus__three_http_streams",
        &["44305: ends earlier"],
        "A body up to the end of the connection: tshark takes the FIN, the event ends with the last byte.",
    ),
    (
        "reassembly/PcapPlusPlus__three_http_streams",
        &["44305: response's size is 194, not 282"],
        "A compressed body up to the end of the connection: tshark has no length of it but the decompressed one.",
    ),
    (
        "reassembly/PcapPlusPlus__three_http_streams",
        &["52328: ends earlier"],
        "A body up to the end of the connection: tshark takes the FIN, the event ends with the last byte.",
    ),
    (
        "reassembly/suricata-verify__bug-4376--syn_retransmit_with_ts",
        &["33372: incomplete: eof"],
        "The two directions have different VLANs: one connection with --merge-vlans, and then answered.",
    ),
    (
        "reassembly/suricata-verify__http-gap-double",
        &["51297: answered 200"],
        "Behind a hole tshark dissects no further response; they are there.",
    ),
    (
        "reassembly/suricata-verify__http-gap-simple",
        &["51297: answered 200"],
        "Behind a hole tshark dissects no further response; they are there.",
    ),
    (
        "reassembly/suricata-verify__http-gap-whole-body",
        &["51297: answered 200"],
        "Behind a hole tshark dissects no further response; they are there.",
    ),
    (
        "reassembly/suricata-verify__tcp-stream-after-swap--http-start-from-response",
        &["38498: 1 responses more"],
        "The first response belongs to a request that was not captured.",
    ),
    (
        "reassembly/tcpflow__test5-lines-randomized",
        &["49392: ends later"],
        "The frames were shuffled, so time runs backwards.",
    ),
    (
        "reassembly/wireshark__challenge01_ooo_stream",
        &["62697: 0 exchanges, not 12"],
        "Encrypted; tshark has the keys in the file.",
    ),
    (
        "reassembly/wireshark__http-ooo2",
        &["32323: begins later"],
        "The request was captured from its end: the first byte came last.",
    ),
    (
        "reassembly/zeek__payload-synack",
        &["80: 0 exchanges, not 1"],
        "The SYN says who is the client, and the bytes of the other side begin a request.",
    ),
    (
        "reassembly/zeek__tcp-http-with-padding",
        &["59406: 1 exchanges, not 0"],
        "Two bytes of padding in every frame; tshark takes the request for a continuation.",
    ),
];

/// From Zeek's logs.
pub(super) const ZEEK: &[Explained] = &[
    (
        "http1/zeek__http-filename",
        &[
            "63526: uri is /response-headers?Content-Type=application/octet-stream;%20c, not /response-headers?Content-Type=application/octet-stream; cha",
        ],
        "Zeek decodes percent signs; the event has what is on the wire.",
    ),
    (
        "http1/zeek__http-single-conn-22",
        &["51889: response_body_len is 12630, not 12632"],
        "12,649 bytes less a head of 19, as tshark has it too.",
    ),
    (
        "http1/zeek__methods",
        &["46578: 0 exchanges, not 1"],
        "The line has no version and no target that is one: not a request.",
    ),
    (
        "http1/zeek__no_crlf",
        &["49783: request_body_len is 6084, not 6086"],
        "Content-Length is 6084; a line end follows the body that belongs to nothing.",
    ),
    (
        "http1/zeek__no_crlf",
        &["49783: request_body_len is 6228, not 6230"],
        "Content-Length is 6228; as above.",
    ),
    (
        "http1/zeek__no_crlf",
        &["49783: request_body_len is 6276, not 6278"],
        "Content-Length is 6276; as above.",
    ),
    (
        "http1/zeek__no_crlf",
        &["49783: request_body_len is 7556, not 7558"],
        "Content-Length is 7556; as above.",
    ),
    (
        "http1/zeek__no_crlf",
        &["49783: request_body_len is 8212, not 8214"],
        "Content-Length is 8212; as above.",
    ),
    (
        "http1/zeek__www-odd-url",
        &[
            "64216: uri is /~cect/teoreetilised%20seminarid_2010/arheoloogia_uurimisr%F, not /~cect/teoreetilised seminarid_2010/arheoloogia_uurimisr\\xfc",
        ],
        "Zeek decodes percent signs; the event has what is on the wire.",
    ),
];
