"""Talks to a Redis server through redis-py and prints a JSON line for each command that a connection sends and for each error that it gets.

Arguments: host, password, protocol (2 or 3). Secrets are logged as sniff-x has to show them.
"""

import json
import sys
import threading
import time

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

host, password, protocol = sys.argv[1], sys.argv[2], int(sys.argv[3])
lock = threading.Lock()


def say(connection, **what):
    # The driver closes a connection before it tells of some errors.
    if connection._sock:
        connection.local_port = connection._sock.getsockname()[1]
    with lock:
        print(json.dumps({"port": connection.local_port, **what}), flush=True)


def encode(argument):
    return argument if isinstance(argument, bytes) else str(argument).encode()


class Logged(redis.Connection):
    """A connection that says what it sends and which errors it gets."""

    def log(self, args):
        # As the driver packs it: the command's name may hold its subcommand.
        words = encode(args[0]).split() + [encode(a) for a in args[1:]]
        shown = [b"<secret>" if password.encode() in word else word for word in words]
        say(self, hex=b" ".join(shown)[: 1 << 17].hex(), length=len(b" ".join(shown)))

    def send_command(self, *args, **kwargs):
        if not self._sock:
            self.connect()
        self.log(args)
        super().send_command(*args, **kwargs)

    def pack_commands(self, commands):
        commands = list(commands)
        for args in commands:
            self.log(args)
        return super().pack_commands(commands)

    def read_response(self, *args, **kwargs):
        try:
            response = super().read_response(*args, **kwargs)
        except (redis.ResponseError, redis.AuthenticationError) as error:
            say(self, error=str(error))
            raise
        if isinstance(response, redis.ResponseError):
            say(self, error=str(response))
        for part in response if isinstance(response, list) else []:
            if isinstance(part, redis.ResponseError):
                say(self, error=str(part))
        return response


def client(**settings):
    settings = {"username": "app", "password": password, "protocol": protocol, **settings}
    pool = redis.ConnectionPool(
        connection_class=Logged, host=host, retry=Retry(NoBackoff(), 0), max_connections=1, socket_timeout=20, **settings
    )
    return redis.Redis(connection_pool=pool)


def refused(call, *args):
    try:
        call(*args)
    except redis.RedisError:
        return
    raise SystemExit(f"{args} was not refused")


r = client()
r.set("name", "value")
r.get("name")
r.get("missing")
r.incr("counter")
r.mset({"a": 1, "b": 2})
r.hset("hash", mapping={"field": "one", "other": "two"})
r.hgetall("hash")
r.rpush("list", *range(50))
r.lrange("list", 0, -1)
r.zadd("scores", {"x": 1.5, "y": 2.25})
r.zrange("scores", 0, -1, withscores=True)
r.sadd("set", "m", "n")
r.smembers("set")
r.set(b"bin\xff\x00\r\nkey", b"\xfe\xff")
r.get(b"bin\xff\x00\r\nkey")
r.set("big", "x" * 1_500_000)
assert len(r.get("big")) == 1_500_000
r.set("", "")
r.xadd("stream", {"f": "v"})
r.xrange("stream")
refused(r.lpush, "name", "not a list")
refused(r.execute_command, "NONSENSE", "x")
refused(r.execute_command, "GET")
refused(client(password="wrong" + password, username="app").ping)

with r.pipeline(transaction=False) as pipeline:
    for number in range(200):
        pipeline.set(f"p{number}", number)
        pipeline.get(f"p{number}")
    pipeline.lpush("name", "error in the middle")
    pipeline.incr("counter")
    pipeline.execute(raise_on_error=False)
with r.pipeline(transaction=True) as pipeline:
    pipeline.incr("counter")
    pipeline.lpush("name", "error inside")
    pipeline.get("name")
    pipeline.hgetall("hash")
    pipeline.execute(raise_on_error=False)
with r.pipeline(transaction=True) as pipeline:
    pipeline.watch("name")
    pipeline.multi()
    pipeline.set("name", "never")
    client().set("name", "changed meanwhile")
    refused(pipeline.execute)
for command in (["MULTI"], ["SET", "name", "given up"], ["DISCARD"]):
    r.execute_command(*command)
for command in (["SELECT", 3], ["SET", "in", "three"], ["SELECT", 0], ["GET", "in"]):
    r.execute_command(*command)
refused(r.execute_command, "SELECT", 99)

script = "return redis.call('incr', KEYS[1])"
r.eval(script, 1, "counter")
sha = r.script_load(script)
r.evalsha(sha, 1, "counter")
refused(r.evalsha, "0" * 40, 0)
refused(r.eval, "return redis.call('incr', 'name')", 0)

# Blocking: one that nobody serves, one that is served after a while.
r.blpop("nothing", timeout=1)
waiting = client()
served = threading.Thread(target=lambda: waiting.blpop("queue", timeout=10))
served.start()
time.sleep(0.4)
r.rpush("queue", "served")
served.join()

# Subscriptions.
subscriber = client().pubsub()
subscriber.subscribe("news", "weather")
subscriber.psubscribe("sp*")
got = []
while len(got) < 3:
    got.append(subscriber.get_message(timeout=5))
for channel, text in (("news", "first"), ("sports", "second"), ("weather", "third"), ("nobody", "lost")):
    r.publish(channel, text)
while len(got) < 6:
    got.append(subscriber.get_message(timeout=5))
subscriber.unsubscribe()
subscriber.punsubscribe()
while len(got) < 9:
    got.append(subscriber.get_message(timeout=5))
assert all(got), got

# Everything that the server does, for a while.
with client().monitor() as monitor:
    r.set("monitored", "yes")
    r.get("monitored")
    lines = monitor.listen()
    next(lines), next(lines)

# Commands without replies.
quiet = client()
connection = quiet.connection_pool.get_connection()
for command, answers in (
    (["PING"], True),
    (["CLIENT", "REPLY", "SKIP"], False),
    (["SET", "skipped", "1"], False),
    (["GET", "skipped"], True),
    (["CLIENT", "REPLY", "OFF"], False),
    (["SET", "off", "1"], False),
    (["SET", "off", "2"], False),
    (["CLIENT", "REPLY", "ON"], True),
    (["GET", "off"], True),
):
    connection.send_command(*command)
    if answers:
        connection.read_response()
connection.disconnect()

if protocol == 3:
    # Invalidations of what a client has cached.
    cached = client()
    connection = cached.connection_pool.get_connection()
    for command in (["CLIENT", "TRACKING", "ON"], ["GET", "name"]):
        connection.send_command(*command)
        connection.read_response()
    r.set("name", "invalidates")
    time.sleep(0.3)
    connection.send_command("PING")
    connection.read_response()
    connection.disconnect()

# Secrets.
r.execute_command("ACL", "SETUSER", f"eve{protocol}", "on", f">{password}", "~*", "+@all")
r.execute_command("CONFIG", "SET", "requirepass", password)
client(username=f"eve{protocol}").ping()
client(username=None).ping()
r.execute_command("CONFIG", "GET", "requirepass")
r.execute_command("FLUSHALL")
