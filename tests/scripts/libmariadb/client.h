/* What the parts of the client share. */
#pragma once
#include <mysql.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* LOGGED: bytes of a text that are printed. MANY: how many types of parameters there are. */
enum { LOGGED = 64 << 10, MAX_PARAMS = 1000, MANY = 24 };

extern MYSQL *my;

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

extern struct value values[MAX_PARAMS];
extern MYSQL_BIND binds[MAX_PARAMS];
extern const struct parameter_type { enum enum_field_types type; my_bool is_unsigned; } TYPES[MANY];

void put_hex(const char *s, size_t len);
void begin(const char *request, const char *text, size_t len);
void results(void);
void end(void);
void changed(uint64_t affected, uint64_t id, unsigned warnings);
void text_results(int failure);
void query_bytes(const char *text, size_t len);
void query(const char *text);
void query_ahead(const char **texts, size_t count);
void simple(const char *request, const char *argument, int failure);
void begin_statement(const char *request, MYSQL_STMT *statement, const char *text, size_t len);
void statement_failed(MYSQL_STMT *statement);
MYSQL_STMT *prepare(const char *text);
void statement_results(MYSQL_STMT *statement, int failure);
void execute(MYSQL_STMT *statement, const char *text, unsigned count);
void close_statement(MYSQL_STMT *statement);
void bound(MYSQL_STMT *statement);
void bind_as(unsigned i, enum enum_field_types type, my_bool is_unsigned);
void set_bytes(unsigned i, const char *bytes, size_t len);
void put_params(unsigned count);
void random_value(unsigned i);
void die(const char *what);
uint64_t next(void);
uint64_t below(uint64_t n);
