"""A TCP exchange of known size: the client sends `size` bytes, the server answers with twice as many, both close."""

import socket
import sys

role, host, port, size = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])


def receive(connection, count):
    while count > 0:
        count -= len(connection.recv(min(count, 1 << 20)))


if role == "serve":
    with socket.create_server((host, port)) as listener:
        print("listening", flush=True)
        connection, _ = listener.accept()
        with connection:
            receive(connection, size)
            connection.sendall(b"s" * (2 * size))
            connection.shutdown(socket.SHUT_WR)
            connection.recv(1)
else:
    with socket.create_connection((host, port)) as connection:
        connection.sendall(b"c" * size)
        receive(connection, 2 * size)
