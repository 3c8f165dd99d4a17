/*
 * A plugin for the tests: requests and responses are lines. `FAIL …` as a response is an error, `LOGIN x` has a secret, `WILD n`
 * breaks a promise of the interface in a way that the host must survive. Built with -DDATAGRAMS it wants UDP, where each datagram is a line.
 */
#include "sniff_x_plugin.h"

#include <stdlib.h>
#include <string.h>

#ifdef DATAGRAMS
#define RULE "udp and port "
#define DATAGRAM datagram
#else
#define RULE "tcp and port "
#define DATAGRAM NULL
#endif

struct lines { const sniff_x_host *host; uint16_t port; char rule[64]; };
struct decoder { struct lines *plugin; uint64_t began; char request[64]; size_t request_len; int pending; uint64_t serial; };

enum { KEY_OPERATION, KEY_MESSAGE, KEY_LENGTH, KEY_SCORE, KEY_LAST, KEY_DELTA, KEY_WORD };

static const sniff_x_option port = { sizeof port, "port", "PORT", "Server port", "4000", 'p', 0 };
static const sniff_x_option loud = { sizeof loud, "loud", NULL, "Speak up", NULL, 0, 1 };
static const sniff_x_option *const options[] = { &port, &loud };

static const sniff_x_key keys_[] = {
    { sizeof(sniff_x_key), "db.operation.name", "", "", SNIFF_X_TYPE_TEXT, 0 },
    { sizeof(sniff_x_key), "error.message", "", "", SNIFF_X_TYPE_TEXT, 0 },
    { sizeof(sniff_x_key), "lines.length", "By", "Length of the response", SNIFF_X_TYPE_INTEGER, 0 },
    { sizeof(sniff_x_key), "lines.score", "", "Half of it", SNIFF_X_TYPE_FLOAT, 0 },
    { sizeof(sniff_x_key), "lines.last", "", "Nothing followed", SNIFF_X_TYPE_BOOLEAN, 0 },
    { sizeof(sniff_x_key), "lines.delta", "By", "Request longer than response", SNIFF_X_TYPE_INTEGER, 0 },
    { sizeof(sniff_x_key), "lines.word.", "", "A word of the response", SNIFF_X_TYPE_TEXT, 0 },
};
static const sniff_x_key *const keys[] = { &keys_[0], &keys_[1], &keys_[2], &keys_[3], &keys_[4], &keys_[5], &keys_[6] };

static const sniff_x_about about = { sizeof about, "lines", "1.2", "lines of text", options, 2, keys, 7, SNIFF_X_OPENS_AT_FIRST_PAYLOAD, 0 };

static void *create(const sniff_x_host *host) {
    struct lines *self = calloc(1, sizeof *self);
    self->host = host;
    self->port = 4000;
    strcpy(self->rule, RULE "4000");
    return self;
}

static void destroy(void *plugin) { free(plugin); }

static int configure(void *plugin, const sniff_x_value *values, size_t count, sniff_x_complaint *complaint) {
    struct lines *self = plugin;
    for (size_t i = 0; i < count; i++) {
        if (strcmp(values[i].option, "port") != 0) continue;
        int number = atoi(values[i].value);
        if (number < 1 || number > 65535) {
            complaint->value = i;
            strcpy(complaint->expected, "a port from 1 to 65535");
            return 1;
        }
        self->port = (uint16_t)number;
        strcpy(self->rule, RULE);
        strcat(self->rule, values[i].value);
    }
    return 0;
}

static const char *rule(void *plugin) { return ((struct lines *)plugin)->rule; }
static int is_server_port(void *plugin, uint16_t p) { return ((struct lines *)plugin)->port == p; }

static uint32_t probe(void *plugin, const uint8_t *s, size_t s_len, const uint8_t *c, size_t c_len) {
    (void)plugin;
    if (c_len > 0 && c[0] == 'R') return SNIFF_X_PROBE_REVERSED;
    if (s_len == 0) return SNIFF_X_PROBE_MORE;
    return s[0] >= 'A' && s[0] <= 'Z' ? SNIFF_X_PROBE_YES : SNIFF_X_PROBE_NO;
}

static void *open_(void *plugin, const sniff_x_flow *flow) {
    if (flow->midstream) return NULL;
    struct decoder *self = calloc(1, sizeof *self);
    self->plugin = plugin;
    self->serial = flow->serial;
    return self;
}

static void wild(struct decoder *self, char how, const sniff_x_window *w, sniff_x_next *next, sniff_x_out *out) {
    const sniff_x_host *host = self->plugin->host;
    switch (how) {
    case '0': next->used = w->len + 1; break;
    case '1': next->what = 99; break;
    case '2': host->put_u64(out, KEY_LENGTH, 1); host->emit(out); break;          /* no event */
    case '3': host->begin(out, 77, 0); host->emit(out); break;                   /* no such kind */
    case '4': host->begin(out, SNIFF_X_KIND_NOTICE, 5);                          /* no such key, wrong type; the event is good */
              host->put_u64(out, 1000, 1); host->put_u64(out, KEY_OPERATION, 1);
              host->put_text(out, KEY_MESSAGE, NULL, 1000, 0, SNIFF_X_PUBLIC);
              host->emit(out); next->used = w->len; break;
    case '5': host->begin(out, SNIFF_X_KIND_NOTICE, 5); next->used = w->len; break; /* never emitted */
    case '6': next->what = SNIFF_X_NEXT_BYPASS; next->amount = SNIFF_X_BYPASS_ENCRYPTED; break;
    }
}

static void data(void *decoder, uint32_t direction, const sniff_x_window *w, sniff_x_next *next, sniff_x_out *out) {
    struct decoder *self = decoder;
    const sniff_x_host *host = self->plugin->host;
    const uint8_t *nl = memchr(w->bytes, '\n', w->len);
    if (!nl) { next->amount = w->len + 1; return; }
    size_t len = (size_t)(nl - w->bytes);
    if (direction == SNIFF_X_TO_SERVER && len >= 6 && memcmp(w->bytes, "WILD ", 5) == 0) {
        wild(self, (char)w->bytes[5], w, next, out);
        return;
    }
    next->used = len + 1;
    if (direction == SNIFF_X_TO_SERVER) {
        self->request_len = len < sizeof self->request ? len : sizeof self->request;
        memcpy(self->request, w->bytes, self->request_len);
        self->began = host->seen_at(w, 0);
        self->pending = 1;
        return;
    }
    host->begin(out, SNIFF_X_KIND_EXCHANGE, self->began);
    host->until(out, host->seen_at(w, len));
    host->put_text(out, KEY_OPERATION, (const uint8_t *)self->request, self->request_len, 0,
                   memcmp(self->request, "LOGIN", 5) == 0 ? SNIFF_X_SECRET : SNIFF_X_LITERAL);
    host->put_u64(out, KEY_LENGTH, len);
    host->put_i64(out, KEY_DELTA, (int64_t)self->request_len - (int64_t)len);
    host->put_f64(out, KEY_SCORE, (double)len / 2);
    host->put_bool(out, KEY_LAST, len + 1 == w->len);
    host->put_indexed_text(out, KEY_WORD, 7, w->bytes, len, SNIFF_X_PUBLIC);
    if (len >= 4 && memcmp(w->bytes, "FAIL", 4) == 0) {
        host->status(out, SNIFF_X_STATUS_ERROR);
        host->put_text(out, KEY_MESSAGE, w->bytes, len, len, SNIFF_X_PUBLIC);
    } else {
        host->status(out, SNIFF_X_STATUS_OK);
    }
    host->emit(out);
    self->pending = 0;
}

#ifdef DATAGRAMS
static void datagram(void *decoder, uint32_t direction, const sniff_x_window *w, sniff_x_next *next, sniff_x_out *out) {
    struct decoder *self = decoder;
    const sniff_x_host *host = self->plugin->host;
    next->used = w->len;
    if (w->len == 3 && memcmp(w->bytes, "bye", 3) == 0) {
        next->what = SNIFF_X_NEXT_BYPASS;
        next->amount = SNIFF_X_BYPASS_LIMIT;
        return;
    }
    host->begin(out, SNIFF_X_KIND_MESSAGE, host->seen_at(w, 0));
    host->status(out, SNIFF_X_STATUS_OK);
    host->put_text(out, KEY_OPERATION, w->bytes, w->len, 0,
                   w->len >= 5 && memcmp(w->bytes, "LOGIN", 5) == 0 ? SNIFF_X_SECRET : SNIFF_X_LITERAL);
    host->put_bool(out, KEY_LAST, direction == SNIFF_X_TO_CLIENT);
    host->emit(out);
}
#endif

static void gap(void *decoder, uint32_t direction, const sniff_x_window *tail, uint32_t lost, uint64_t bytes, sniff_x_next *next,
                sniff_x_out *out) {
    struct decoder *self = decoder;
    const sniff_x_host *host = self->plugin->host;
    (void)direction;
    next->used = tail->len;
    next->what = SNIFF_X_NEXT_SKIP;
    next->amount = 3;
    host->begin(out, SNIFF_X_KIND_NOTICE, host->now(out));
    host->status(out, lost == SNIFF_X_LOST_BYTES ? SNIFF_X_INCOMPLETE_GAP : SNIFF_X_INCOMPLETE_MIDSTREAM);
    host->put_u64(out, KEY_LENGTH, bytes);
    host->emit(out);
}

static int tick(void *decoder, uint64_t now, sniff_x_out *out) { (void)now; (void)out; return ((struct decoder *)decoder)->pending; }

static void end(void *decoder, uint32_t why, const sniff_x_window *s, const sniff_x_window *c, sniff_x_out *out) {
    struct decoder *self = decoder;
    const sniff_x_host *host = self->plugin->host;
    if (!self->pending) return;
    host->begin(out, SNIFF_X_KIND_EXCHANGE, self->began);
    host->status(out, why == SNIFF_X_END_EVICTED ? SNIFF_X_INCOMPLETE_EVICTED : SNIFF_X_INCOMPLETE_EOF);
    host->put_u64(out, KEY_LENGTH, s->len + c->len);
    host->emit(out);
}

static size_t retained(void *decoder) { (void)decoder; return sizeof(struct decoder); }
static void close_(void *decoder) { free(decoder); }

static const sniff_x_plugin plugin = {
    sizeof plugin, SNIFF_X_ABI_VERSION, 0, &about, create, destroy, configure, rule, is_server_port, probe, open_,
    data, gap, DATAGRAM, tick, NULL, end, retained, close_,
};

#ifndef BREAK
const sniff_x_plugin *sniff_x_plugin_v1(void) { return &plugin; }
#else
/* A copy that is wrong in one way. */
const sniff_x_plugin *sniff_x_plugin_v1(void) {
    static sniff_x_plugin broken;
    static sniff_x_about about_;
    static sniff_x_key key;
    static const sniff_x_key *const one_key[] = { &key };
    broken = plugin;
    about_ = about;
    key = keys_[2];
    broken.about = &about_;
    about_.keys = one_key;
    about_.key_count = 1;
    switch (BREAK) {
    case 1: return NULL;
    case 2: broken.abi_version = 7; break;
    case 3: broken.struct_size = 40; break;
    case 4: broken.data = NULL; break;
    case 5: broken.about = NULL; break;
    case 6: about_.name = "Not A Name"; break;
    case 7: key.name = "timestamp"; key.type = SNIFF_X_TYPE_TEXT; break;
    case 8: key.name = "db.query.text"; break; /* an integer here */
    case 9: key.name = "quo\"te"; break;
    case 10: about_.summary = "\x1b[2J"; break;
    case 11: about_.option_count = 1000000; break;
    case 12: about_.opens_at = 9; break;
    case 13: key.struct_size = 8; break;
    }
    return &broken;
}
#endif

#define FIELD(type, field) sizeof(type), offsetof(type, field)
/* Sizes, and offsets of the last fields, as C sees them. */
const size_t sniff_x_layout[] = {
    FIELD(sniff_x_option, repeatable), FIELD(sniff_x_key, type),          FIELD(sniff_x_about, opens_at),
    FIELD(sniff_x_value, value),       FIELD(sniff_x_complaint, expected), FIELD(sniff_x_flow, midstream),
    FIELD(sniff_x_window, seen),       FIELD(sniff_x_next, what),          FIELD(sniff_x_host, emit),
    FIELD(sniff_x_plugin, close),
};
