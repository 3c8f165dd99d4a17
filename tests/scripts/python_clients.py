"""Issues statements through a Python driver, on several connections at once, and prints one JSON line for each request, as libmariadb/main.c does.

python_clients.py DRIVER HOST PASSWORD SEED [compressed]

DRIVER is `connector` (MySQL Connector/Python, pure Python: text and prepared) or `pymysql` (text only). What a driver sends of its own accord is not
printed.
"""

import datetime
import decimal
import io
import json
import random
import sys
import threading

driver, host, password, seed = sys.argv[1:5]
compressed = sys.argv[5:] == ["compressed"]
CONNECTIONS = 3
ROUNDS = 60
lock = threading.Lock()


def say(thread, request, text=None, results=(), **more):
    record = {"thread": thread, "request": request, "results": list(results), **more}
    if text is not None:
        record |= {"text": text, "length": len(text.encode())}
    with lock:
        print(json.dumps(record), flush=True)


def connect(password=password):
    if driver == "pymysql":
        import pymysql
        from pymysql.constants import CLIENT
        return pymysql.connect(
            host=host, user="app", password=password, database="shop", autocommit=True, ssl_disabled=True,
            client_flag=CLIENT.MULTI_STATEMENTS, local_infile=True,
        )
    import mysql.connector
    return mysql.connector.connect(
        host=host, user="app", password=password, database="shop", autocommit=True, use_pure=True, ssl_disabled=True,
        charset="utf8mb4", collation="utf8mb4_general_ci", compress=compressed,
    )


def failure(error):
    if driver == "pymysql":
        return {"error": str(error.args[0]), "message": error.args[1]}
    return {"error": str(error.errno), "sqlstate": error.sqlstate, "message": error.msg}


def outcome(cursor):
    if cursor.description:
        columns = len(cursor.description)
        return {"rows": len(cursor.fetchall()), "columns": columns}
    seen = {"affected": cursor.rowcount}
    return seen | ({"last_insert_id": cursor.lastrowid} if cursor.lastrowid else {})


def query(connection, thread, text):
    cursor = connection.cursor()
    results = []
    try:
        cursor.execute(text)
        results.append(outcome(cursor))
        while cursor.nextset():
            results.append(outcome(cursor))
    except Exception as error:
        results.append(failure(error))
    say(thread, "Query", text, results)
    cursor.close()


def described(value):
    """A parameter as the other client describes it."""
    match value:
        case None:
            return None
        case bool() | int():
            return ["int", str(int(value))]
        case float():
            return ["real", repr(value)]
        case decimal.Decimal():
            return ["hex", str(value).encode().hex(), len(str(value))]
        case datetime.datetime():
            return ["datetime", value.strftime("%Y-%m-%d %H:%M:%S") + (f".{value.microsecond:06}" if value.microsecond else "")]
        case datetime.date():
            return ["date", value.isoformat()]
        case datetime.timedelta():
            seconds, micros = divmod(value // datetime.timedelta(microseconds=1), 1_000_000)
            text = f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}"
            return ["time", text + (f".{micros:06}" if micros else "")]
        case io.BytesIO():
            return ["hex", value.getvalue().hex(), len(value.getvalue())]
        case str():
            return ["hex", value.encode().hex(), len(value.encode())]
        case bytes():
            return ["hex", value.hex(), len(value)]


def random_value(random):
    number = random.choice([1, 7, 8, 15, 16, 31, 32, 62])
    micros = random.choice([0, random.randrange(1_000_000)])
    return random.choice([
        None,
        random.getrandbits(number),
        -random.getrandbits(number),
        random.choice([0.1, 1e300, 1e16, 1e-7, 1.5, -2.25, random.random()]),
        decimal.Decimal(random.randrange(-10**9, 10**9)) / 100,
        datetime.date(random.randrange(1000, 10000), 11, 24),
        datetime.datetime(2026, 11, 24, 3, random.randrange(60), 51, micros),
        # Connector/Python sends another time than it was given where that is negative.
        datetime.timedelta(days=random.randrange(30), seconds=random.randrange(86400), microseconds=micros),
        "".join(random.choice("aä?'\"\\\n🍵") for _ in range(random.randrange(12))),
        random.randbytes(random.randrange(20)),
    ])


def execute(cursor, thread, text, values):
    params = [described(value) for value in values]
    try:
        cursor.execute(text, values)
        results = [outcome(cursor)]
    except Exception as error:
        results = [failure(error)]
    say(thread, "Execute", text, results, params=params)


def prepared(connection, thread, random):
    def repeat(text, all_values):
        cursor = connection.cursor(prepared=True)
        for values in all_values:
            execute(cursor, thread, text, values)
        cursor.close()

    repeat("INSERT INTO item (name, price) VALUES (?, ?)", [("plate", "7.00"), ("fork", None), ("knife", "2.20")])
    repeat("SELECT id, name FROM item WHERE price > ? ORDER BY id LIMIT 2", [(1,), (None,)])
    # Sent in pieces. MariaDB logs such a value rightly only where no other type stood before it.
    pieces = [("long", io.BytesIO(random.randbytes(random.randrange(1, 20_000)))) for _ in range(4)]
    repeat("INSERT INTO note (title, body) VALUES (?, ?)", pieces)
    repeat("SELECT " + ", ".join("?" * 8), [tuple(random_value(random) for _ in range(8)) for _ in range(ROUNDS)])


def work(number):
    # Each connection has its own values, the same in every run.
    own = random.Random(f"{seed}/{number}")
    connection = connect()
    thread = connection.thread_id() if driver == "pymysql" else connection.connection_id
    for text in [
        "SELECT 1",
        f"SELECT 'connection {number}'",
        "SELECT seq, REPEAT('r', 100) FROM seq_1_to_1000",
        "SELECT REPEAT('b', 300000)",
        f"INSERT INTO item (name, price) VALUES ('tea {number}', 3.50), ('grüner Tee', 4.25)",
        f"UPDATE item SET price = price + 1 WHERE name = 'tea {number}'",
        f"UPDATE item SET price = price WHERE name = 'tea {number}'",
        "SELECT * FROM item WHERE id < 0",
        "SELEC nonsense",
        "SELECT * FROM no_such_table",
        "BEGIN",
        f"DELETE FROM item WHERE name = 'tea {number}'",
        "ROLLBACK",
        "SELECT 1 -- " + "q" * 70_000,
        "INSERT INTO item (name) VALUES ('" + "y" * 50 + "') -- " + "z" * 70_000,
    ]:
        query(connection, thread, text)
    if driver == "pymysql":
        query(connection, thread, "SELECT 1; SELECT 2, 3 UNION SELECT 4, 5; UPDATE item SET name = 'x' WHERE id < 0; SELECT broken")
        connection.select_db("mysql")
        say(thread, "Init DB", "mysql", [{}])
        connection.ping(reconnect=False)
        say(thread, "Ping", None, [{}])
        cursor = connection.cursor()
        for _ in range(ROUNDS):
            values = [random_value(own) for _ in range(4)]
            # The driver writes the values into the statement.
            text = cursor.mogrify("SELECT %s, %s, %s, %s", values)
            cursor.execute("SELECT %s, %s, %s, %s", values)
            raw = text.encode("utf-8", "surrogateescape")
            say(thread, "Query", None, [outcome(cursor)], text_hex=raw.hex(), length=len(raw))
    else:
        prepared(connection, thread, own)
        # The driver refuses to on a compressed connection.
        if not compressed:
            connection.cmd_change_user(username="app", password=password, database="mysql")
            say(thread, "Change user", None, [{}])
        query(connection, thread, "SELECT DATABASE()")
    connection.close()
    say(thread, "Quit", None, [])


failed = []
threading.excepthook = lambda what: (failed.append(what), sys.__excepthook__(*what[:3]))
threads = [threading.Thread(target=work, args=[number]) for number in range(CONNECTIONS)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
sys.exit(1 if failed else 0)
