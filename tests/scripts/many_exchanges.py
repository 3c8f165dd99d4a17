"""Many TCP exchanges at once, each of its own size: a client sends some bytes and its end, the server answers with twice as many and closes."""

import socket
import sys
import threading

role, host, port, count = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])


def receive(connection):
    size = 0
    while data := connection.recv(1 << 16):
        size += len(data)
    return size


def answer(connection):
    with connection:
        connection.sendall(b"s" * (2 * receive(connection)))


def ask(number, connected):
    size = 1000 * number + 1
    with socket.create_connection((host, port)) as connection:
        connected.wait()
        connection.sendall(b"c" * size)
        connection.shutdown(socket.SHUT_WR)
        assert receive(connection) == 2 * size


def together(target, arguments):
    threads = [threading.Thread(target=target, args=each) for each in arguments]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


if role == "serve":
    with socket.create_server((host, port), backlog=count) as listener:
        print("listening", flush=True)
        together(answer, [(listener.accept()[0],) for _ in range(count)])
else:
    # Nobody sends before all are connected: all connections are open at once.
    connected = threading.Barrier(count)
    together(ask, [(number, connected) for number in range(count)])
