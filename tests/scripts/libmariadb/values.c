/* Values of parameters: bound, made up, printed. */
#include "client.h"

struct value values[MAX_PARAMS];
MYSQL_BIND binds[MAX_PARAMS];

/* Binds parameter `i`. */
void bind_as(unsigned i, enum enum_field_types type, my_bool is_unsigned) {
    binds[i] = (MYSQL_BIND){.buffer_type = type,
                            .buffer = values[i].bytes,
                            .buffer_length = sizeof values[i].bytes,
                            .is_unsigned = is_unsigned,
                            .length = &values[i].len,
                            .is_null = &values[i].null};
    values[i].null = type == MYSQL_TYPE_NULL;
}

void set_bytes(unsigned i, const char *bytes, size_t len) {
    memcpy(values[i].bytes, bytes, len);
    values[i].len = len;
}

static void put_time(const MYSQL_TIME *t, enum enum_field_types type) {
    if (type == MYSQL_TYPE_TIME)
        printf("[\"time\",\"%s%02u:%02u:%02u", t->neg ? "-" : "", t->day * 24 + t->hour, t->minute, t->second);
    else if (type == MYSQL_TYPE_DATE) printf("[\"date\",\"%04u-%02u-%02u", t->year, t->month, t->day);
    else
        printf("[\"datetime\",\"%04u-%02u-%02u %02u:%02u:%02u", t->year, t->month, t->day, t->hour, t->minute,
               t->second);
    if (type != MYSQL_TYPE_DATE && t->second_part) printf(".%06lu", t->second_part);
    printf("\"]");
}

void put_params(unsigned count) {
    printf(",\"params\":[");
    for (unsigned i = 0; i < count; i++) {
        struct value *v = &values[i];
        my_bool u = binds[i].is_unsigned;
        if (i) putchar(',');
        if (v->null) {
            printf("null");
            continue;
        }
        switch (binds[i].buffer_type) {
        case MYSQL_TYPE_NULL: printf("null"); break;
        case MYSQL_TYPE_TINY: printf("[\"int\",\"%d\"]", u ? (uint8_t)v->tiny : v->tiny); break;
        case MYSQL_TYPE_SHORT: printf("[\"int\",\"%d\"]", u ? (uint16_t)v->small : v->small); break;
        case MYSQL_TYPE_LONG:
            if (u) printf("[\"int\",\"%u\"]", (uint32_t)v->medium);
            else printf("[\"int\",\"%d\"]", v->medium);
            break;
        case MYSQL_TYPE_LONGLONG:
            if (u) printf("[\"int\",\"%llu\"]", (unsigned long long)v->large);
            else printf("[\"int\",\"%lld\"]", (long long)v->large);
            break;
        case MYSQL_TYPE_FLOAT: printf("[\"float\",\"%.9g\"]", v->single); break;
        case MYSQL_TYPE_DOUBLE: printf("[\"real\",\"%.17g\"]", v->real); break;
        case MYSQL_TYPE_DATE:
        case MYSQL_TYPE_TIME:
        case MYSQL_TYPE_DATETIME:
        case MYSQL_TYPE_TIMESTAMP: put_time(&v->time, binds[i].buffer_type); break;
        default:
            printf("[\"hex\",");
            put_hex(binds[i].buffer, v->len);
            putchar(']');
        }
    }
    putchar(']');
}

/* The types of the parameters of `every_type`, in turn: all that the library sends, but for YEAR, whose bytes MariaDB 10.11 takes for the next parameter. */
const struct parameter_type TYPES[MANY] = {
    {MYSQL_TYPE_TINY, 0},     {MYSQL_TYPE_TINY, 1},        {MYSQL_TYPE_SHORT, 0},    {MYSQL_TYPE_SHORT, 1},
    {MYSQL_TYPE_LONG, 0},     {MYSQL_TYPE_LONG, 1},        {MYSQL_TYPE_LONGLONG, 0}, {MYSQL_TYPE_LONGLONG, 1},
    {MYSQL_TYPE_VAR_STRING, 0},{MYSQL_TYPE_FLOAT, 0},      {MYSQL_TYPE_DOUBLE, 0},   {MYSQL_TYPE_NEWDECIMAL, 0},
    {MYSQL_TYPE_DECIMAL, 0},  {MYSQL_TYPE_DATE, 0},        {MYSQL_TYPE_TIME, 0},     {MYSQL_TYPE_DATETIME, 0},
    {MYSQL_TYPE_TIMESTAMP, 0},{MYSQL_TYPE_STRING, 0},      {MYSQL_TYPE_VAR_STRING, 0},{MYSQL_TYPE_TINY_BLOB, 0},
    {MYSQL_TYPE_BLOB, 0},     {MYSQL_TYPE_MEDIUM_BLOB, 0}, {MYSQL_TYPE_LONG_BLOB, 0},{MYSQL_TYPE_NULL, 0},
};

static void random_time(MYSQL_TIME *t, enum enum_field_types type) {
    memset(t, 0, sizeof *t);
    my_bool day_only = type == MYSQL_TYPE_DATE || below(6) == 0;
    if (type != MYSQL_TYPE_TIME) {
        t->year = 1000 + below(9000);
        t->month = 1 + below(12);
        t->day = 1 + below(28);
        if (below(12) == 0) t->year = t->month = t->day = 0;
    }
    if (!day_only) {
        t->hour = below(24);
        t->minute = below(60);
        t->second = below(60);
        if (below(2)) t->second_part = below(1000000);
    }
    if (type == MYSQL_TYPE_TIME) {
        /* 838:59:59 is the largest. */
        if (below(2)) t->day = below(34);
        /* Zero is sent without a sign. */
        t->neg = (t->day || t->hour || t->minute || t->second || t->second_part) && below(2);
    }
    t->time_type = type == MYSQL_TYPE_TIME ? MYSQL_TIMESTAMP_TIME
                   : type == MYSQL_TYPE_DATE ? MYSQL_TIMESTAMP_DATE : MYSQL_TIMESTAMP_DATETIME;
}

static void random_text(unsigned i) {
    static const char *pieces[] = {"tea", "gr\xc3\xbcn", "'", "\"", "\\", "\n", "\t", "?", "\r", "%", "\xf0\x9f\x8d\xb5", "x41", "\\x41", " "};
    size_t len = 0;
    for (uint64_t n = below(9); n > 0; n--) {
        const char *piece = pieces[below(sizeof pieces / sizeof *pieces)];
        memcpy(values[i].bytes + len, piece, strlen(piece));
        len += strlen(piece);
    }
    values[i].len = len;
}

void random_value(unsigned i) {
    static const double reals[] = {0, -0.0, 1, -1.5, 0.1, 1e300, -1e-300, 1e15, 1e16, 1e17, 123456789.125, 1e-5, 9e-6, 5e-324, 1.7976931348623157e308};
    struct value *v = &values[i];
    enum enum_field_types type = binds[i].buffer_type;
    v->null = type == MYSQL_TYPE_NULL || below(8) == 0;
    uint64_t bits = next();
    /* Small numbers as often as large ones, and the ends of the range. */
    int64_t number = below(4) ? (int64_t)(bits >> below(64)) : below(2) ? INT64_MIN : -1;
    switch (type) {
    case MYSQL_TYPE_TINY: v->tiny = (int8_t)(number == INT64_MIN ? INT8_MIN : number); break;
    case MYSQL_TYPE_SHORT: v->small = (int16_t)(number == INT64_MIN ? INT16_MIN : number); break;
    case MYSQL_TYPE_LONG: v->medium = (int32_t)(number == INT64_MIN ? INT32_MIN : number); break;
    case MYSQL_TYPE_LONGLONG: v->large = number; break;
    case MYSQL_TYPE_FLOAT: v->single = (float)(below(2) ? (double)(int32_t)bits / 1024 : reals[below(5)]); break;
    case MYSQL_TYPE_DOUBLE:
        v->real = below(2) ? reals[below(sizeof reals / sizeof *reals)] : (double)(int64_t)bits / (double)(1 + below(1 << 30));
        break;
    case MYSQL_TYPE_DECIMAL:
    case MYSQL_TYPE_NEWDECIMAL:
        v->len = (unsigned long)sprintf(v->bytes, "%s%llu.%02llu", below(2) ? "-" : "", (unsigned long long)(bits >> 20),
                                        (unsigned long long)below(100));
        break;
    case MYSQL_TYPE_DATE:
    case MYSQL_TYPE_TIME:
    case MYSQL_TYPE_DATETIME:
    case MYSQL_TYPE_TIMESTAMP: random_time(&v->time, type); break;
    case MYSQL_TYPE_STRING:
    case MYSQL_TYPE_VAR_STRING: random_text(i); break;
    case MYSQL_TYPE_TINY_BLOB:
    case MYSQL_TYPE_BLOB:
    case MYSQL_TYPE_MEDIUM_BLOB:
    case MYSQL_TYPE_LONG_BLOB:
        v->len = (unsigned long)below(below(4) ? 20 : 400);
        for (unsigned long n = 0; n < v->len; n++) v->bytes[n] = (char)next();
        break;
    default: break;
    }
}
