/*
 * sniff-x: the C interface of external plugins, version 1.
 *
 * A plugin is a shared library (*.so) in a folder of the plugin path (`sniff-x --env`). It exports one function:
 *
 *     const sniff_x_plugin *sniff_x_plugin_v1(void);
 *
 * What it returns, and all that it points to, stays valid and unchanged for the life of the process; a library is never unloaded.
 *
 * Structs. The first field of each is its size, as its maker compiled it (`sizeof`). Later versions only add fields at the end, so a
 * reader must not touch fields behind struct_size. Strings end with a NUL byte and are UTF-8.
 *
 * Threads. Functions of a plugin object may be called by several threads at once, except create, configure and destroy. Functions of a
 * decoder are called by one thread at a time. A plugin object outlives its decoders. A decoder's functions never run after close.
 *
 * Promises. A plugin does not block, does not end the process, and reads nothing beyond the bytes that it is given; pointers that it
 * is given are valid only until its function returns. Nothing is thrown or longjmp'ed through this interface, in either
 * direction (C++: noexcept). Bytes come from the wire: assume the worst of them.
 *
 * License: MIT OR Apache-2.0
 */
#ifndef SNIFF_X_PLUGIN_H
#define SNIFF_X_PLUGIN_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define SNIFF_X_ABI_VERSION 1u

/* When a decoder is opened. */
#define SNIFF_X_OPENS_AT_FIRST_PAYLOAD 0u
#define SNIFF_X_OPENS_AT_FIRST_PACKET 1u

/* Types of keys. */
#define SNIFF_X_TYPE_TEXT 0u
#define SNIFF_X_TYPE_INTEGER 1u /* put_u64 or put_i64 */
#define SNIFF_X_TYPE_FLOAT 2u
#define SNIFF_X_TYPE_BOOLEAN 3u

/* Directions. */
#define SNIFF_X_TO_SERVER 0u
#define SNIFF_X_TO_CLIENT 1u

/* Transport protocols, as in IP headers. */
#define SNIFF_X_TCP 6u
#define SNIFF_X_UDP 17u

/* What a probe tells. */
#define SNIFF_X_PROBE_NO 0u       /* not this protocol */
#define SNIFF_X_PROBE_MORE 1u     /* too early to say */
#define SNIFF_X_PROBE_YES 2u      /* this protocol */
#define SNIFF_X_PROBE_REVERSED 3u /* this protocol, and who was taken for the client is the server */

/* What a decoder wants next. */
#define SNIFF_X_NEXT_MORE 0u   /* `used` bytes are done with; not again before `amount` bytes (from the first kept one) are there; 0: any */
#define SNIFF_X_NEXT_SKIP 1u   /* `used` bytes are done with; throw away the `amount` bytes that follow them */
#define SNIFF_X_NEXT_BYPASS 2u /* nothing more of this connection matters; `amount` is the reason */

/* Reasons of a bypass. */
#define SNIFF_X_BYPASS_ENCRYPTED 0u
#define SNIFF_X_BYPASS_NOT_THIS_PROTOCOL 1u
#define SNIFF_X_BYPASS_UNDECODABLE 2u
#define SNIFF_X_BYPASS_LIMIT 3u

/* What is lost in a gap. */
#define SNIFF_X_LOST_BYTES 0u   /* so many bytes were never seen */
#define SNIFF_X_LOST_UNKNOWN 1u /* the flow was joined in the middle */
#define SNIFF_X_LOST_LIMIT 2u   /* so many bytes were discarded: a message was longer than the limit */

/* Why a connection ended. */
#define SNIFF_X_END_FIN 0u
#define SNIFF_X_END_RST 1u
#define SNIFF_X_END_REUSED 2u
#define SNIFF_X_END_IDLE 3u
#define SNIFF_X_END_EVICTED 4u
#define SNIFF_X_END_EOF 5u

/* Kinds of events. */
#define SNIFF_X_KIND_EXCHANGE 0u
#define SNIFF_X_KIND_MESSAGE 1u
#define SNIFF_X_KIND_SESSION 2u
#define SNIFF_X_KIND_NOTICE 3u
#define SNIFF_X_KIND_SUMMARY 4u

/* States of events. Those from 16 on mean incomplete, and why. */
#define SNIFF_X_STATUS_OK 0u
#define SNIFF_X_STATUS_ERROR 1u
#define SNIFF_X_INCOMPLETE_GAP 16u
#define SNIFF_X_INCOMPLETE_MIDSTREAM 17u
#define SNIFF_X_INCOMPLETE_TRUNCATED 18u
#define SNIFF_X_INCOMPLETE_LIMIT 19u
#define SNIFF_X_INCOMPLETE_TIMEOUT 20u
#define SNIFF_X_INCOMPLETE_EVICTED 21u
#define SNIFF_X_INCOMPLETE_EOF 22u
#define SNIFF_X_INCOMPLETE_MALFORMED 23u

/* How much a text gives away. */
#define SNIFF_X_PUBLIC 0u  /* names, numbers, states */
#define SNIFF_X_LITERAL 1u /* what users put in: statements, values, bodies */
#define SNIFF_X_SECRET 2u  /* passwords, tokens: never written */

/* An option of the command line. No name of sniff-x's own options; long_name without dashes. */
typedef struct sniff_x_option {
    size_t struct_size;
    const char *long_name;
    const char *value_name;   /* NULL: a switch */
    const char *help;         /* one line */
    const char *default_text; /* for the help; NULL: none */
    uint32_t short_name;      /* an ASCII letter or digit; 0: none */
    uint32_t repeatable;      /* 1: may be given more than once */
} sniff_x_option;

/* A key of the events: a name of sniff-x's table (docs/events.md) with its type, or one of the plugin's own: letters a-z, digits, `.` and
 * `_`. A name that ends in a dot is a family: put_indexed_text appends a number. */
typedef struct sniff_x_key {
    size_t struct_size;
    const char *name;
    const char *unit;  /* "" where there is none */
    const char *about; /* one line */
    uint32_t type;     /* SNIFF_X_TYPE_ */
    uint32_t reserved; /* 0 */
} sniff_x_key;

typedef struct sniff_x_about {
    size_t struct_size;
    const char *name;    /* on the command line and in `protocol`: letters a-z, digits, `_` and `-` */
    const char *version;
    const char *summary; /* one line */
    const sniff_x_option *const *options;
    size_t option_count;
    const sniff_x_key *const *keys; /* putting a value names its key by its place here */
    size_t key_count;
    uint32_t opens_at; /* SNIFF_X_OPENS_AT_ */
    uint32_t reserved; /* 0 */
} sniff_x_about;

/* A value that an option was given; a switch has an empty one. */
typedef struct sniff_x_value {
    size_t struct_size;
    const char *option; /* its long name */
    const char *value;
} sniff_x_value;

/* What is wrong with a value; the plugin fills it in. */
typedef struct sniff_x_complaint {
    size_t struct_size;
    size_t value;       /* the place of the wrong value */
    char expected[160]; /* what would have been right, NUL at the end: "a number from 1 to 9" */
} sniff_x_complaint;

/* A flow, when its decoder is opened. IPv4 addresses are mapped: ::ffff:a.b.c.d. */
typedef struct sniff_x_flow {
    size_t struct_size;
    uint64_t serial;     /* unique in a run */
    uint64_t first_seen; /* nanoseconds since 1970 */
    uint8_t client_address[16];
    uint8_t server_address[16];
    uint16_t client_port;
    uint16_t server_port;
    uint32_t transport; /* SNIFF_X_TCP, SNIFF_X_UDP */
    uint32_t midstream; /* 1: joined in the middle */
    uint32_t reserved;
} sniff_x_flow;

/* Bytes in order: what was kept and what is new. */
typedef struct sniff_x_window {
    size_t struct_size;
    const uint8_t *bytes;
    size_t len;
    const void *seen; /* for seen_at alone */
} sniff_x_window;

/* What a decoder wants next; the plugin fills it in. As it comes it says: more, none used. */
typedef struct sniff_x_next {
    size_t struct_size;
    uint64_t used;
    uint64_t amount;
    uint32_t what; /* SNIFF_X_NEXT_ */
    uint32_t reserved;
} sniff_x_next;

/* The way out of a decoder; valid during one call. */
typedef struct sniff_x_out sniff_x_out;

/* What the host offers. `key` is a place in sniff_x_about.keys. An event is begun, gets its values, and is emitted; one that is begun
 * anew or left without emit is dropped. Values of the wrong type or with an unknown key are left out, with a line in the log. */
typedef struct sniff_x_host {
    size_t struct_size;
    uint32_t abi_version;
    uint32_t reserved;
    uint64_t (*seen_at)(const sniff_x_window *window, size_t offset); /* when that byte was captured */
    uint64_t (*now)(const sniff_x_out *out);                          /* packet time */
    size_t (*max_text)(const sniff_x_out *out);                       /* texts are cut here; keep no more of one */
    void (*begin)(sniff_x_out *out, uint32_t kind, uint64_t timestamp);
    void (*status)(sniff_x_out *out, uint32_t status);
    void (*until)(sniff_x_out *out, uint64_t end); /* the duration's end */
    /* full_len: length before the plugin cut it; at least len */
    void (*put_text)(sniff_x_out *out, uint32_t key, const uint8_t *text, size_t len, uint64_t full_len, uint32_t sensitivity);
    void (*put_indexed_text)(sniff_x_out *out, uint32_t key, uint32_t index, const uint8_t *text, size_t len, uint32_t sensitivity);
    void (*put_u64)(sniff_x_out *out, uint32_t key, uint64_t value);
    void (*put_i64)(sniff_x_out *out, uint32_t key, int64_t value);
    void (*put_f64)(sniff_x_out *out, uint32_t key, double value);
    void (*put_bool)(sniff_x_out *out, uint32_t key, uint32_t value);
    void (*emit)(sniff_x_out *out);
} sniff_x_host;

typedef struct sniff_x_plugin {
    size_t struct_size;
    uint32_t abi_version; /* SNIFF_X_ABI_VERSION */
    uint32_t reserved;    /* 0 */
    const sniff_x_about *about;

    /* The plugin object; NULL is a failure. The host stays valid for ever. */
    void *(*create)(const sniff_x_host *host);
    void (*destroy)(void *plugin);
    /* Called once, before all below. 0: fine; else complaint tells. May be NULL when there are no options. */
    int (*configure)(void *plugin, const sniff_x_value *values, size_t count, sniff_x_complaint *complaint);
    /* The traffic that the plugin wants, in pcap-filter syntax: "tcp and port 4000". Valid as long as the plugin object. */
    const char *(*rule)(void *plugin);
    /* 1: one of the plugin's server ports. */
    int (*is_server_port)(void *plugin, uint16_t port);
    /* SNIFF_X_PROBE_ */
    uint32_t (*probe)(void *plugin, const uint8_t *to_server, size_t to_server_len, const uint8_t *to_client, size_t to_client_len);
    /* A decoder for one flow; NULL: this flow is not decoded. */
    void *(*open)(void *plugin, const sniff_x_flow *flow);

    void (*data)(void *decoder, uint32_t direction, const sniff_x_window *window, sniff_x_next *next, sniff_x_out *out);
    /* Bytes are missing behind tail, which was kept and is now thrown away. lost: SNIFF_X_LOST_. */
    void (*gap)(void *decoder, uint32_t direction, const sniff_x_window *tail, uint32_t lost, uint64_t bytes, sniff_x_next *next,
                sniff_x_out *out);
    /* One UDP datagram, whole; nothing of it is kept, so that used does not matter. One that the snap length cut comes to gap instead, with
     * what there is of it as tail. May be NULL: no UDP. */
    void (*datagram)(void *decoder, uint32_t direction, const sniff_x_window *window, sniff_x_next *next, sniff_x_out *out);
    /* Nothing came for a while. 1: an exchange is pending. May be NULL: none ever is. */
    int (*tick)(void *decoder, uint64_t now, sniff_x_out *out);
    /* The sender of a direction closed it. May be NULL. */
    void (*half_closed)(void *decoder, uint32_t direction, const sniff_x_window *tail, sniff_x_out *out);
    /* The connection is over; tails of both directions. why: SNIFF_X_END_. */
    void (*end)(void *decoder, uint32_t why, const sniff_x_window *to_server, const sniff_x_window *to_client, sniff_x_out *out);
    /* Bytes of memory beyond a few hundred that the decoder holds. May be NULL: none. */
    size_t (*retained)(void *decoder);
    /* Frees the decoder. */
    void (*close)(void *decoder);
} sniff_x_plugin;

const sniff_x_plugin *sniff_x_plugin_v1(void);

#ifdef __cplusplus
}
#endif

#endif
