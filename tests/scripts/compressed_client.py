"""Issues statements through MySQL Connector/Python, pure Python, with compression (it fails on long results of many packets), and prints what the client saw."""

import json
import sys

import mysql.connector

host, password = sys.argv[1:3]
SIZE = 20_000_000


def say(text, **seen):
    print(json.dumps({"text": text, **seen}), flush=True)


connection = mysql.connector.connect(
    host=host, user="app", password=password, database="shop", autocommit=True, use_pure=True, ssl_disabled=True,
    charset="utf8mb4", collation="utf8mb4_general_ci", compress=True,
)
cursor = connection.cursor()
for text in [
    "SELECT 1",
    "SELECT REPEAT('a', 2000), MD5('x')",
    "SELECT '" + "text " * 10_000 + "'",
    "SELECT LENGTH('" + "q" * SIZE + "')",
    "SELECT 2",
]:
    cursor.execute(text)
    rows = cursor.fetchall()
    say(text, rows=len(rows), columns=len(rows[0]))
try:
    cursor.execute("SELECT * FROM nowhere")
except mysql.connector.Error as error:
    say("SELECT * FROM nowhere", error=str(error.errno), message=error.msg)
cursor.close()
prepared = connection.cursor(prepared=True)
insert = "INSERT INTO item (name, price) VALUES (?, ?)"
for name, price in [("plate", "7.00"), ("fork " * 10, "1.10")]:
    prepared.execute(insert, (name, price))
    say(insert, affected=prepared.rowcount)
prepared.close()
connection.close()
