"""Issues statements through MySQL Connector/Python, pure Python, with prepared statements, and prints what the client saw."""

import json
import sys

import mysql.connector

host, password = sys.argv[1:3]


def say(text, **seen):
    print(json.dumps({"text": text, **seen}), flush=True)


connection = mysql.connector.connect(
    host=host, user="app", password=password, database="shop", autocommit=True, use_pure=True, ssl_disabled=True,
    charset="utf8mb4", collation="utf8mb4_general_ci",
)
cursor = connection.cursor(prepared=True)
insert = "INSERT INTO item (name, price) VALUES (?, ?)"
for name, price in [("plate", "7.00"), ("fork", "1.10"), ("knife", "2.20")]:
    cursor.execute(insert, (name, price))
    say(insert, prepared=True, affected=cursor.rowcount, last_insert_id=cursor.lastrowid)
select = "SELECT id, name, price FROM item WHERE price > ? ORDER BY id"
for floor in (0, 2, 1000):
    cursor.execute(select, (floor,))
    say(select, prepared=True, rows=len(cursor.fetchall()), columns=3)
cursor.close()
plain = connection.cursor()
plain.execute("SELECT COUNT(*) FROM item")
say("SELECT COUNT(*) FROM item", rows=len(plain.fetchall()), columns=1)
plain.close()
connection.close()
