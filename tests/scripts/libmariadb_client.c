/* Issues statements through MariaDB Connector/C and prints one JSON line of what it did and saw for each request.
 *
 * libmariadb_client HOST PASSWORD ROLE SEED [compressed]
 *
 * ROLE is `broad` (every kind of request and of parameter) or `big` (statements and parameters of 20 MiB). A line has the server's number of the
 * connection, the request as the server's general log names it, its text (at most LOGGED bytes), its parameters and its results. A parameter is null
 * or [kind, value], where `hex` is of a string's bytes, and `real` and `float` are in C's hexadecimal notation, so that nothing is lost. */
#include <mysql.h>
#include <errmsg.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { LOGGED = 64 << 10, MAX_PARAMS = 1000, MANY = 24, ROUNDS = 120, BIG = 20 << 20 };

static MYSQL *my;
static uint64_t seed;

static void die(const char *what) {
    fprintf(stderr, "%s: %s\n", what, my ? mysql_error(my) : "");
    exit(1);
}

/* SplitMix64. */
static uint64_t next(void) {
    uint64_t z = seed += 0x9e3779b97f4a7c15;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return z ^ (z >> 31);
}

static uint64_t below(uint64_t n) { return next() % n; }

/* ---- what is printed ---- */

static void put_string(const char *s, size_t len) {
    putchar('"');
    for (size_t i = 0; i < len && i < LOGGED; i++) {
        unsigned char c = (unsigned char)s[i];
        if (c == '"' || c == '\\') printf("\\%c", c);
        else if (c < 0x20) printf("\\u%04x", c);
        else putchar(c);
    }
    putchar('"');
}

static void put_hex(const char *s, size_t len) {
    putchar('"');
    for (size_t i = 0; i < len && i < LOGGED; i++) printf("%02x", (unsigned char)s[i]);
    printf("\",%zu", len);
}

static void begin(const char *request, const char *text, size_t len) {
    printf("{\"thread\":%lu,\"request\":\"%s\"", mysql_thread_id(my), request);
    if (text) {
        printf(",\"length\":%zu,\"text\":", len);
        put_string(text, len);
    }
}

static void results(void) { printf(",\"results\":["); }

static void end(void) {
    printf("]}\n");
    fflush(stdout);
}

static void failed(unsigned code, const char *state, const char *message) {
    /* What the client itself finds has no place here: the capture could not know. */
    if (code >= CR_MIN_ERROR && code <= CR_MAX_ERROR) die(message);
    printf("{\"error\":\"%u\",\"sqlstate\":\"%s\",\"message\":", code, state);
    put_string(message, strlen(message));
    putchar('}');
}

static void rows(uint64_t count, unsigned columns) {
    printf("{\"rows\":%llu,\"columns\":%u}", (unsigned long long)count, columns);
}

static void changed(uint64_t affected, uint64_t id, unsigned warnings) {
    printf("{\"affected\":%llu", (unsigned long long)affected);
    if (id) printf(",\"last_insert_id\":%llu", (unsigned long long)id);
    if (warnings) printf(",\"warnings\":%u", warnings);
    putchar('}');
}

/* ---- text ---- */

/* All results of a query that was sent; `failure` is what sending or reading the first response gave. */
static void text_results(int failure) {
    results();
    for (;;) {
        if (failure > 0) {
            failed(mysql_errno(my), mysql_sqlstate(my), mysql_error(my));
            break;
        }
        MYSQL_RES *result = mysql_use_result(my);
        if (result) {
            uint64_t count = 0;
            while (mysql_fetch_row(result)) count++;
            unsigned columns = mysql_num_fields(result);
            if (mysql_errno(my)) {
                failed(mysql_errno(my), mysql_sqlstate(my), mysql_error(my));
                mysql_free_result(result);
                break;
            }
            mysql_free_result(result);
            rows(count, columns);
        } else {
            changed(mysql_affected_rows(my), mysql_insert_id(my), mysql_warning_count(my));
        }
        failure = mysql_next_result(my);
        if (failure < 0) break;
        putchar(',');
    }
    end();
}

static void query_bytes(const char *text, size_t len) {
    int failure = mysql_real_query(my, text, len);
    begin("Query", text, len);
    text_results(failure != 0);
}

static void query(const char *text) { query_bytes(text, strlen(text)); }

/* Sends them all, then reads the responses. */
static void query_ahead(const char **texts, size_t count) {
    for (size_t i = 0; i < count; i++)
        if (mysql_send_query(my, texts[i], strlen(texts[i]))) die("sending ahead");
    for (size_t i = 0; i < count; i++) {
        int failure = mysql_read_query_result(my);
        begin("Query", texts[i], strlen(texts[i]));
        text_results(failure != 0);
    }
}

/* A request that is answered with OK, an error, or something that the client library reads. */
static void simple(const char *request, const char *argument, int failure) {
    begin(request, argument, argument ? strlen(argument) : 0);
    results();
    if (failure) failed(mysql_errno(my), mysql_sqlstate(my), mysql_error(my));
    else printf("{}");
    end();
}

/* ---- prepared ---- */

/* A parameter's value, as it is bound. */
struct value {
    my_bool null;
    unsigned long len;
    union {
        int8_t tiny;
        int16_t small;
        int32_t medium;
        int64_t large;
        float single;
        double real;
        MYSQL_TIME time;
        char bytes[400];
    };
};

static struct value values[MAX_PARAMS];
static MYSQL_BIND binds[MAX_PARAMS];

/* Binds parameter `i`. */
static void bind(unsigned i, enum enum_field_types type, my_bool is_unsigned) {
    binds[i] = (MYSQL_BIND){.buffer_type = type,
                            .buffer = values[i].bytes,
                            .buffer_length = sizeof values[i].bytes,
                            .is_unsigned = is_unsigned,
                            .length = &values[i].len,
                            .is_null = &values[i].null};
    values[i].null = type == MYSQL_TYPE_NULL;
}

static void set_bytes(unsigned i, const char *bytes, size_t len) {
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

static void put_params(unsigned count) {
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

static void begin_statement(const char *request, MYSQL_STMT *statement, const char *text, size_t len) {
    begin(request, text, len);
    printf(",\"id\":%lu", statement->stmt_id);
}

static void statement_failed(MYSQL_STMT *statement) {
    failed(mysql_stmt_errno(statement), mysql_stmt_sqlstate(statement), mysql_stmt_error(statement));
}

static MYSQL_STMT *prepare_bytes(const char *text, size_t len) {
    MYSQL_STMT *statement = mysql_stmt_init(my);
    int failure = mysql_stmt_prepare(statement, text, len);
    begin_statement("Prepare", statement, text, len);
    results();
    if (failure) statement_failed(statement);
    else printf("{\"columns\":%u}", mysql_stmt_field_count(statement));
    end();
    return statement;
}

static MYSQL_STMT *prepare(const char *text) { return prepare_bytes(text, strlen(text)); }

static void statement_results(MYSQL_STMT *statement, int failure) {
    results();
    for (;;) {
        if (failure > 0) {
            statement_failed(statement);
            break;
        }
        unsigned columns = mysql_stmt_field_count(statement);
        if (columns) {
            uint64_t count = 0;
            int got;
            while ((got = mysql_stmt_fetch(statement)) == 0 || got == MYSQL_DATA_TRUNCATED) count++;
            if (got == 1) {
                statement_failed(statement);
                break;
            }
            rows(count, columns);
            mysql_stmt_free_result(statement);
        } else {
            changed(mysql_stmt_affected_rows(statement), mysql_stmt_insert_id(statement), mysql_stmt_warning_count(statement));
        }
        failure = mysql_stmt_next_result(statement);
        if (failure < 0) break;
        putchar(',');
    }
    end();
}

static void execute(MYSQL_STMT *statement, const char *text, unsigned count) {
    int failure = mysql_stmt_execute(statement);
    begin_statement("Execute", statement, text, strlen(text));
    put_params(count);
    statement_results(statement, failure != 0);
}

static void close_statement(MYSQL_STMT *statement) {
    if (statement->stmt_id) {
        begin_statement("Close stmt", statement, NULL, 0);
        results();
        end();
    }
    mysql_stmt_close(statement);
}

static void bound(MYSQL_STMT *statement) {
    if (mysql_stmt_bind_param(statement, binds)) die(mysql_stmt_error(statement));
}

/* ---- parameters ---- */

/* The types of the parameters of `every_type`, in turn: all that the library sends, but for YEAR, whose bytes MariaDB 10.11 takes for the next parameter. */
static const struct { enum enum_field_types type; my_bool is_unsigned; } TYPES[MANY] = {
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

static void random_value(unsigned i) {
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

/* One statement with a parameter of every type, again and again: the types are sent once, later only values. */
static void every_type(void) {
    char text[MANY * 20] = "SELECT '?', ?";
    for (unsigned i = 1; i < MANY; i++) strcat(text, i % 5 ? ", ?" : " /* ? */, ?");
    MYSQL_STMT *statement = prepare(text);
    for (unsigned i = 0; i < MANY; i++) bind(i, TYPES[i].type, TYPES[i].is_unsigned);
    bound(statement);
    for (unsigned round = 0; round < ROUNDS; round++) {
        for (unsigned i = 0; i < MANY; i++) random_value(i);
        if (round % 50 == 49) bound(statement);
        execute(statement, text, MANY);
    }
    close_statement(statement);
}

static void thousand_parameters(void) {
    static char text[MAX_PARAMS * 3 + 40];
    strcpy(text, "SELECT 1 WHERE 7 IN (?");
    for (unsigned i = 1; i < MAX_PARAMS; i++) strcat(text, ",?");
    strcat(text, ")");
    MYSQL_STMT *statement = prepare(text);
    for (unsigned i = 0; i < MAX_PARAMS; i++) bind(i, i % 3 ? MYSQL_TYPE_LONG : MYSQL_TYPE_LONGLONG, 0);
    bound(statement);
    for (unsigned round = 0; round < 5; round++) {
        for (unsigned i = 0; i < MAX_PARAMS; i++) random_value(i);
        execute(statement, text, MAX_PARAMS);
    }
    close_statement(statement);
}

/* Parameter `i` of `statement` in pieces. */
static void send_long(MYSQL_STMT *statement, unsigned i, const char *bytes, size_t len) {
    if (mysql_stmt_send_long_data(statement, i, bytes, len)) die("long data");
    begin_statement("Long Data", statement, NULL, 0);
    printf(",\"size\":%zu", len);
    results();
    end();
}

static void long_data(void) {
    static char long_value[3000];
    const char *text = "INSERT INTO note (title, body) VALUES (?, ?)";
    MYSQL_STMT *statement = prepare(text);
    bind(0, MYSQL_TYPE_STRING, 0);
    bind(1, MYSQL_TYPE_LONG_BLOB, 0);
    for (unsigned round = 0; round < 4; round++) {
        size_t len = 0;
        set_bytes(0, "long", 4);
        bound(statement);
        for (unsigned piece = 0; piece < round; piece++) {
            size_t size = 1 + below(900);
            for (size_t n = 0; n < size; n++) long_value[len + n] = (char)next();
            send_long(statement, 1, long_value + len, size);
            len += size;
        }
        /* Without pieces the value comes with the execution. */
        if (round == 0) set_bytes(1, "short", 5);
        else binds[1].buffer = long_value, values[1].len = len;
        execute(statement, text, 2);
    }
    /* What was sent before a reset does not count. */
    send_long(statement, 1, "forgotten", 9);
    int failure = mysql_stmt_reset(statement);
    begin_statement("Reset stmt", statement, NULL, 0);
    results();
    if (failure) statement_failed(statement);
    else printf("{}");
    end();
    bind(1, MYSQL_TYPE_BLOB, 0);
    set_bytes(1, "kept", 4);
    bound(statement);
    execute(statement, text, 2);
    close_statement(statement);
}

/* A cursor: the server keeps the rows, the client fetches seven at a time. */
static void cursor(void) {
    const char *text = "SELECT seq, REPEAT('c', 50) FROM seq_1_to_100 WHERE seq > ?";
    unsigned long type = CURSOR_TYPE_READ_ONLY, prefetch = 7;
    MYSQL_STMT *statement = prepare(text);
    mysql_stmt_attr_set(statement, STMT_ATTR_CURSOR_TYPE, &type);
    mysql_stmt_attr_set(statement, STMT_ATTR_PREFETCH_ROWS, &prefetch);
    bind(0, MYSQL_TYPE_LONG, 0);
    bound(statement);
    for (int from = 0; from < 100; from += 33) {
        values[0].medium = from;
        int failure = mysql_stmt_execute(statement);
        begin_statement("Execute", statement, text, strlen(text));
        put_params(1);
        printf(",\"fetched\":true");
        statement_results(statement, failure != 0);
    }
    close_statement(statement);
}

/* Several rows of values in one request. */
static void bulk(void) {
    const char *text = "INSERT INTO item (name, price) VALUES (?, ?)";
    char *names[] = {"bowl", "jug", "pot", "pan", "lid"};
    unsigned long lengths[] = {4, 3, 3, 3, 3};
    char absent[] = {STMT_INDICATOR_NONE, STMT_INDICATOR_NULL, STMT_INDICATOR_NONE, STMT_INDICATOR_NONE, STMT_INDICATOR_DEFAULT};
    int prices[] = {1, 2, 3, 4, 5};
    unsigned count = 5;
    MYSQL_STMT *statement = prepare(text);
    mysql_stmt_attr_set(statement, STMT_ATTR_ARRAY_SIZE, &count);
    binds[0] = (MYSQL_BIND){.buffer_type = MYSQL_TYPE_STRING, .buffer = names, .length = lengths, .u.indicator = absent};
    binds[1] = (MYSQL_BIND){.buffer_type = MYSQL_TYPE_LONG, .buffer = prices};
    bound(statement);
    int failure = mysql_stmt_execute(statement);
    begin_statement("Bulk", statement, text, strlen(text));
    printf(",\"bulk\":%u,\"params\":[", count);
    for (unsigned i = 0; i < count; i++) {
        if (i) putchar(',');
        if (absent[i] == STMT_INDICATOR_NULL) printf("null");
        else if (absent[i] == STMT_INDICATOR_DEFAULT) printf("[\"word\",\"DEFAULT\"]");
        else printf("[\"hex\","), put_hex(names[i], lengths[i]), putchar(']');
        printf(",[\"int\",\"%d\"]", prices[i]);
    }
    putchar(']');
    statement_results(statement, failure != 0);
    close_statement(statement);
}

/* Preparing and executing sent together, where the library can. */
static void prepared_ahead(void) {
    const char *text = "SELECT ?, 'ahead'";
    MYSQL_STMT *statement = mysql_stmt_init(my);
    bind(0, MYSQL_TYPE_LONG, 0);
    values[0].medium = 77;
    unsigned count = 1;
    mysql_stmt_attr_set(statement, STMT_ATTR_PREBIND_PARAMS, &count);
    bound(statement);
    int failure = mariadb_stmt_execute_direct(statement, text, strlen(text));
    begin_statement("Prepare", statement, text, strlen(text));
    results();
    printf("{\"columns\":%u}", mysql_stmt_field_count(statement));
    end();
    begin_statement("Execute", statement, text, strlen(text));
    put_params(1);
    statement_results(statement, failure != 0);
    close_statement(statement);
}

static void procedures(void) {
    query("CREATE PROCEDURE IF NOT EXISTS both_ways (IN a INT, OUT b INT, INOUT c VARCHAR(20))\nBEGIN\n  SELECT a, c;\n  SET b = a * 2, c = CONCAT(c, '!');\nEND");
    query("CREATE PROCEDURE IF NOT EXISTS fails () BEGIN SELECT 1; SELECT 1, 2; SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'on purpose'; END");
    query("SET @c = 'x'");
    query("CALL both_ways(21, @b, @c)");
    query("SELECT @b, @c");
    query("CALL fails()");
    const char *text = "CALL both_ways(?, ?, ?)";
    MYSQL_STMT *statement = prepare(text);
    for (int round = 0; round < 3; round++) {
        bind(0, MYSQL_TYPE_LONG, 0);
        bind(1, MYSQL_TYPE_LONG, 0);
        bind(2, MYSQL_TYPE_STRING, 0);
        values[0].medium = round;
        values[1].null = 1;
        set_bytes(2, "in", 2);
        bound(statement);
        execute(statement, text, 3);
    }
    close_statement(statement);
    statement = prepare("CALL fails()");
    execute(statement, "CALL fails()", 0);
    close_statement(statement);
}

static void errors(void) {
    query("SELEC nonsense");
    query("SELECT * FROM no_such_table");
    query("SELECT seq, IF(seq = 500, (SELECT 1 UNION SELECT 2), 0) FROM seq_1_to_900");
    query("SELECT 1; SELECT 2, 3 UNION SELECT 4, 5; UPDATE note SET title = 'x' WHERE id < 0; SELECT broken; SELECT 6");
    query("INSERT INTO note (id, title) VALUES (1, 'a'), (1, 'b')");
    close_statement(prepare("SELECT ? FROM nowhere"));
    close_statement(prepare("SELEC ?"));
    const char *text = "INSERT INTO note (id, title) VALUES (?, ?)";
    MYSQL_STMT *statement = prepare(text);
    for (int round = 0; round < 2; round++) {
        bind(0, MYSQL_TYPE_LONG, 0);
        bind(1, MYSQL_TYPE_STRING, 0);
        values[0].medium = 900000 + (int)getpid();
        set_bytes(1, "twice", 5);
        bound(statement);
        execute(statement, text, 2);
    }
    close_statement(statement);
}

static void local_file(void) {
    char path[] = "/tmp/sniff-x-infile-XXXXXX", text[200];
    int file = mkstemp(path);
    if (file < 0) die("a file");
    size_t size = 0;
    FILE *out = fdopen(file, "w");
    for (int i = 0; i < 3000; i++) size += (size_t)fprintf(out, "loaded %d\tbody\n", i);
    fclose(out);
    snprintf(text, sizeof text, "LOAD DATA LOCAL INFILE '%s' INTO TABLE note (title, body)", path);
    int failure = mysql_query(my, text);
    begin("Query", text, strlen(text));
    printf(",\"infile\":%zu", size);
    text_results(failure != 0);
    unlink(path);
    /* The library finds no such file and sends an empty one, with which the server is content. */
    const char *nowhere = "LOAD DATA LOCAL INFILE '/nonexistent/file' INTO TABLE note (title, body)";
    if (mysql_query(my, nowhere) == 0) die("a file from nowhere");
    begin("Query", nowhere, strlen(nowhere));
    printf(",\"infile\":0");
    results();
    changed(0, 0, 0);
    end();
}

static void transactions(void) {
    query("BEGIN");
    query("INSERT INTO note (title) VALUES ('one'), ('two')");
    query("UPDATE note SET body = 'changed' WHERE title = 'none'");
    query("ROLLBACK");
    query("START TRANSACTION READ ONLY");
    query("SELECT COUNT(*) FROM item");
    query("COMMIT");
}

static void commands(const char *password) {
    simple("Init DB", "mysql", mysql_select_db(my, "mysql"));
    query("SELECT COUNT(*) FROM global_priv WHERE 1 = 0");
    simple("Init DB", "no_such_database", mysql_select_db(my, "no_such_database"));
    query("USE shop");
    query("SELECT DATABASE()");
    simple("Ping", NULL, mysql_ping(my));
    simple("Statistics", NULL, mysql_stat(my) == NULL);
    simple("Query", "KILL 4000000000", mysql_kill(my, 4000000000));
    simple("Refresh", NULL, mysql_refresh(my, REFRESH_TABLES));
    simple("Set option", NULL, mysql_set_server_option(my, MYSQL_OPTION_MULTI_STATEMENTS_OFF));
    query("SELECT 1; SELECT 2");
    simple("Set option", NULL, mysql_set_server_option(my, MYSQL_OPTION_MULTI_STATEMENTS_ON));
    MYSQL_RES *fields = mysql_list_fields(my, "item", "");
    simple("Field List", "item", fields == NULL);
    mysql_free_result(fields);
    simple("Change user", NULL, mysql_change_user(my, "app", password, "mysql"));
    query("SELECT DATABASE(), 'after change'");
    simple("Change user", NULL, mysql_change_user(my, "app", password, "shop"));
    simple("Reset connection", NULL, mysql_reset_connection(my));
    query("SELECT 'after reset'");
}

static void sent_ahead(void) {
    const char *texts[] = {"SELECT 'first'", "SELECT seq FROM seq_1_to_40", "SELEC", "INSERT INTO note (title) VALUES ('ahead')", "DO 0", "SELECT 'last'"};
    for (int round = 0; round < 5; round++) query_ahead(texts, sizeof texts / sizeof *texts);
}

static void texts(void) {
    query("SELECT 1");
    query("select id, name\n\tfrom item -- a comment\nwhere name <> '\\'' and price > 0.5");
    query("/* a comment */ SELECT 'gr\xc3\xbcn', '\xf0\x9f\x8d\xb5', \"quoted 'twice'\", NULL");
    query("(SELECT 1) UNION ALL (SELECT 2)");
    query("WITH RECURSIVE n AS (SELECT 1 AS i UNION ALL SELECT i + 1 FROM n WHERE i < 300) SELECT i FROM n");
    query("SELECT NULL FROM seq_1_to_300");
    query("SELECT REPEAT('r', 250), REPEAT('s', 251), REPEAT('t', 70000)");
    query("INSERT INTO item (name, price) VALUES ('tea', 3.50), ('cup', 12.00)");
    query("INSERT INTO item (name, price) SELECT 'copy', price FROM item WHERE name = 'tea' LIMIT 1");
    query("UPDATE item SET price = price + 1 WHERE name = 'cup'");
    query("DELETE FROM item WHERE name = 'copy'");
    query("SELECT 'a' + 1");
    query("SHOW TABLES");
    query("EXPLAIN SELECT * FROM item");
    query("CREATE TEMPORARY TABLE mine (a INT)");
    query("DROP TABLE mine");
    query("PREPARE s FROM 'SELECT ? + 1'");
    query("EXECUTE s USING 5");
    query("DEALLOCATE PREPARE s");
    query("SELECT SLEEP(0.05)");
}

static void broad(const char *password) {
    texts();
    every_type();
    transactions();
    thousand_parameters();
    long_data();
    cursor();
    bulk();
    errors();
    procedures();
    local_file();
    sent_ahead();
    prepared_ahead();
    commands(password);
    every_type();
}

static void big(void) {
    char *text = malloc(BIG + 100);
    if (!text) die("memory");
    strcpy(text, "SELECT LENGTH('");
    size_t len = strlen(text);
    memset(text + len, 'b', BIG);
    strcpy(text + len + BIG, "')");
    query_bytes(text, len + BIG + 2);
    query("SELECT REPEAT('c', 20000000)");
    const char *statement_text = "SELECT LENGTH(?), ?";
    MYSQL_STMT *statement = prepare(statement_text);
    bind(0, MYSQL_TYPE_LONG_BLOB, 0);
    binds[0].buffer = text;
    binds[0].buffer_length = BIG;
    values[0].len = BIG;
    bind(1, MYSQL_TYPE_LONG, 0);
    values[1].medium = 5;
    bound(statement);
    execute(statement, statement_text, 2);
    close_statement(statement);
    statement = prepare("SELECT REPEAT('d', 20000000)");
    execute(statement, "SELECT REPEAT('d', 20000000)", 0);
    close_statement(statement);
    query("SELECT 'after'");
    free(text);
}

int main(int argc, char **argv) {
    if (argc < 5) return 2;
    seed = strtoull(argv[4], NULL, 10);
    my = mysql_init(NULL);
    my_bool no = 0;
    unsigned yes = 1;
    mysql_options(my, MYSQL_OPT_SSL_ENFORCE, &no);
    mysql_options(my, MYSQL_OPT_LOCAL_INFILE, &yes);
    mysql_options(my, MYSQL_SET_CHARSET_NAME, "utf8mb4");
    size_t packet = 64 << 20;
    mysql_options(my, MYSQL_OPT_MAX_ALLOWED_PACKET, &packet);
    if (argc > 5) mysql_options(my, MYSQL_OPT_COMPRESS, NULL);
    unsigned long flags = CLIENT_MULTI_STATEMENTS | CLIENT_MULTI_RESULTS | CLIENT_PS_MULTI_RESULTS;
    if (!mysql_real_connect(my, argv[1], "app", argv[2], "shop", 3306, NULL, flags)) die("connecting");
    if (strcmp(argv[3], "broad") == 0) broad(argv[2]);
    else big();
    begin("Quit", NULL, 0);
    results();
    end();
    mysql_close(my);
    return 0;
}
