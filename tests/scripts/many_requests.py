"""Many HTTP connections at once, each with many requests, some sent ahead of the answers: `/CONNECTION/NUMBER`, answered with a status and a size
that follow from both."""

import random
import socket
import sys
import threading

role, host, port, count, requests = sys.argv[1], sys.argv[2], *map(int, sys.argv[3:])
STATUSES = [200, 201, 203, 404, 500, 503]


def serve(connection):
    waiting = b""
    with connection:
        while data := connection.recv(1 << 16):
            *whole, waiting = (waiting + data).split(b"\r\n\r\n")
            for request in whole:
                _, number, nth = request.split(b" ")[1].split(b"/")
                size = 37 * int(number) + int(nth)
                head = f"HTTP/1.1 {STATUSES[int(nth) % 6]} X\r\nContent-Length: {size}\r\n\r\n"
                connection.sendall(head.encode() + b"s" * size)


def ask(number, connected):
    ahead = random.Random(number)
    with socket.create_connection((host, port)) as connection:
        connected.wait()
        answers = connection.makefile("rb")
        sent = 0
        while sent < requests:
            some = range(sent, min(sent + ahead.randint(1, 5), requests))
            text = "".join(f"GET /{number}/{nth} HTTP/1.1\r\nHost: test\r\n\r\n" for nth in some)
            connection.sendall(text.encode())
            for nth in some:
                assert int(answers.readline().split()[1]) == STATUSES[nth % 6]
                size = int(answers.readline().split()[1])
                assert answers.readline() == b"\r\n" and answers.read(size) == b"s" * size
            sent = some.stop


def together(target, arguments):
    threads = [threading.Thread(target=target, args=each) for each in arguments]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


if role == "serve":
    with socket.create_server((host, port), backlog=count) as listener:
        print("listening", flush=True)
        together(serve, [(listener.accept()[0],) for _ in range(count)])
else:
    connected = threading.Barrier(count)
    together(ask, [(number, connected) for number in range(count)])
