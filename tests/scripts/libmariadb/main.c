/* Issues statements through MariaDB Connector/C and prints one JSON line of what it did and saw for each request.
 *
 * client HOST PASSWORD ROLE SEED [compressed]
 *
 * ROLE is `broad` (every kind of request and of parameter) or `big` (statements and parameters of 20 MiB). A line has the server's number of the
 * connection, the request as the server's general log names it, its text (at most LOGGED bytes), its parameters and its results. A parameter is null
 * or [kind, value], where `hex` is of a string's bytes, and `real` and `float` have all the digits that it takes to tell them apart. */
#include "client.h"

#include <unistd.h>

enum { ROUNDS = 120, BIG = 20 << 20 };

MYSQL *my;
static uint64_t seed;

void die(const char *what) {
    fprintf(stderr, "%s: %s\n", what, my ? mysql_error(my) : "");
    exit(1);
}

/* SplitMix64. */
uint64_t next(void) {
    uint64_t z = seed += 0x9e3779b97f4a7c15;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return z ^ (z >> 31);
}

uint64_t below(uint64_t n) { return next() % n; }

/* One statement with a parameter of every type, again and again: the types are sent once, later only values. */
static void every_type(void) {
    char text[MANY * 20] = "SELECT '?', ?";
    for (unsigned i = 1; i < MANY; i++) strcat(text, i % 5 ? ", ?" : " /* ? */, ?");
    MYSQL_STMT *statement = prepare(text);
    for (unsigned i = 0; i < MANY; i++) bind_as(i, TYPES[i].type, TYPES[i].is_unsigned);
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
    for (unsigned i = 0; i < MAX_PARAMS; i++) bind_as(i, i % 3 ? MYSQL_TYPE_LONG : MYSQL_TYPE_LONGLONG, 0);
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
    bind_as(0, MYSQL_TYPE_STRING, 0);
    bind_as(1, MYSQL_TYPE_LONG_BLOB, 0);
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
    bind_as(1, MYSQL_TYPE_BLOB, 0);
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
    bind_as(0, MYSQL_TYPE_LONG, 0);
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
    bind_as(0, MYSQL_TYPE_LONG, 0);
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
        bind_as(0, MYSQL_TYPE_LONG, 0);
        bind_as(1, MYSQL_TYPE_LONG, 0);
        bind_as(2, MYSQL_TYPE_STRING, 0);
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
        bind_as(0, MYSQL_TYPE_LONG, 0);
        bind_as(1, MYSQL_TYPE_STRING, 0);
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
    const char *texts[] = {"SELECT 'first' /* ahead */", "SELECT seq FROM seq_1_to_40 /* ahead */", "SELEC /* ahead */",
                           "INSERT INTO note (title) VALUES ('ahead') /* ahead */", "DO 0 /* ahead */", "SELECT 'last' /* ahead */"};
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
    bind_as(0, MYSQL_TYPE_LONG_BLOB, 0);
    binds[0].buffer = text;
    binds[0].buffer_length = BIG;
    values[0].len = BIG;
    bind_as(1, MYSQL_TYPE_LONG, 0);
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
