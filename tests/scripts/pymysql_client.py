"""Issues statements through PyMySQL (text protocol) and prints one JSON line of what the client saw for each.

With a third argument `big` also those that need many segments.
"""

import json
import sys

import pymysql
from pymysql.constants import CLIENT

host, password = sys.argv[1:3]


def say(text, **seen):
    print(json.dumps({"text": text, **seen}), flush=True)


def run(cursor, text):
    try:
        affected = cursor.execute(text)
    except pymysql.err.MySQLError as error:
        say(text, error=str(error.args[0]), message=error.args[1])
        return
    while True:
        if cursor.description:
            say(text, rows=len(cursor.fetchall()), columns=len(cursor.description))
        else:
            say(text, affected=affected, last_insert_id=cursor.lastrowid)
        if not cursor.nextset():
            return
        affected = cursor.rowcount


connection = pymysql.connect(
    host=host, user="app", password=password, database="shop", autocommit=True, ssl_disabled=True,
    client_flag=CLIENT.MULTI_STATEMENTS,
)
cursor = connection.cursor()
big = [
    "SELECT seq, REPEAT('r', 100) FROM seq_1_to_5000",
    "SELECT REPEAT('b', 300000)",
    "SELECT REPEAT('c', 20000000)",
    "INSERT INTO item (name) VALUES ('" + "y" * 50 + "') -- " + "z" * 70000,
    "SELECT 1 -- " + "q" * 17000000,
]
for text in [
    "SELECT 1",
    "SELECT * FROM item WHERE id < 0",
    "INSERT INTO item (name, price) VALUES ('tea', 3.50), ('cup', 12.00), ('grüner Tee', 4.25)",
    "SELECT id, name, price FROM item ORDER BY id",
    "UPDATE item SET price = price + 1 WHERE price > 4",
    "SELEC nonsense",
    "SELECT * FROM no_such_table",
    "SELECT SLEEP(0.2)",
    "SELECT 1; SELECT 2, 3 UNION SELECT 4, 5; UPDATE item SET name = 'x' WHERE id = 1",
    *(big if sys.argv[3:] == ["big"] else []),
    "DELETE FROM item",
]:
    run(cursor, text)
connection.close()
