/* What is printed; requests in text and prepared ones, with all their results. */
#include "client.h"

#include <errmsg.h>

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

void put_hex(const char *s, size_t len) {
    putchar('"');
    for (size_t i = 0; i < len && i < LOGGED; i++) printf("%02x", (unsigned char)s[i]);
    printf("\",%zu", len);
}

void begin(const char *request, const char *text, size_t len) {
    printf("{\"thread\":%lu,\"request\":\"%s\"", mysql_thread_id(my), request);
    if (text) {
        printf(",\"length\":%zu,\"text\":", len);
        put_string(text, len);
    }
}

void results(void) { printf(",\"results\":["); }

void end(void) {
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

void changed(uint64_t affected, uint64_t id, unsigned warnings) {
    printf("{\"affected\":%llu", (unsigned long long)affected);
    if (id) printf(",\"last_insert_id\":%llu", (unsigned long long)id);
    if (warnings) printf(",\"warnings\":%u", warnings);
    putchar('}');
}

/* ---- text ---- */

/* All results of a query that was sent; `failure` is what sending or reading the first response gave. */
void text_results(int failure) {
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

void query_bytes(const char *text, size_t len) {
    int failure = mysql_real_query(my, text, len);
    begin("Query", text, len);
    text_results(failure != 0);
}

void query(const char *text) { query_bytes(text, strlen(text)); }

/* Sends them all, then reads the responses. */
void query_ahead(const char **texts, size_t count) {
    for (size_t i = 0; i < count; i++)
        if (mysql_send_query(my, texts[i], strlen(texts[i]))) die("sending ahead");
    for (size_t i = 0; i < count; i++) {
        int failure = mysql_read_query_result(my);
        begin("Query", texts[i], strlen(texts[i]));
        text_results(failure != 0);
    }
}

/* A request that is answered with OK, an error, or something that the client library reads. */
void simple(const char *request, const char *argument, int failure) {
    begin(request, argument, argument ? strlen(argument) : 0);
    results();
    if (failure) failed(mysql_errno(my), mysql_sqlstate(my), mysql_error(my));
    else printf("{}");
    end();
}
void begin_statement(const char *request, MYSQL_STMT *statement, const char *text, size_t len) {
    begin(request, text, len);
    printf(",\"id\":%lu", statement->stmt_id);
}

void statement_failed(MYSQL_STMT *statement) {
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

MYSQL_STMT *prepare(const char *text) { return prepare_bytes(text, strlen(text)); }

void statement_results(MYSQL_STMT *statement, int failure) {
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

void execute(MYSQL_STMT *statement, const char *text, unsigned count) {
    int failure = mysql_stmt_execute(statement);
    begin_statement("Execute", statement, text, strlen(text));
    put_params(count);
    statement_results(statement, failure != 0);
}

void close_statement(MYSQL_STMT *statement) {
    if (statement->stmt_id) {
        begin_statement("Close stmt", statement, NULL, 0);
        results();
        end();
    }
    mysql_stmt_close(statement);
}

void bound(MYSQL_STMT *statement) {
    if (mysql_stmt_bind_param(statement, binds)) die(mysql_stmt_error(statement));
}
