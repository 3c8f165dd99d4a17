"""Asks a web server through requests, and by hand, and prints a JSON line for each response: the request's number, status and size.

Arguments: host, a size for a large body. The number goes in the header X-Number.
"""

import json
import socket
import sys

import requests

host, large = sys.argv[1], int(sys.argv[2])
session = requests.Session()
number = 0


def ask(method, path, **options):
    global number
    number += 1
    headers = {"X-Number": str(number), **options.pop("headers", {})}
    response = session.request(method, f"http://{host}{path}", headers=headers, timeout=20, **options)
    print(json.dumps({
        "number": str(number), "method": method, "path": path, "status": response.status_code,
        "received": response.raw.tell(), "chunked": "Transfer-Encoding" in response.headers,
        "encoding": response.headers.get("Content-Encoding", ""),
    }), flush=True)
    return response


first = ask("GET", "/small.txt?a=b&c=%20d")
ask("GET", "/small.txt")
ask("GET", "/small.txt", headers={"If-Modified-Since": first.headers["Last-Modified"]})
ask("HEAD", "/large.bin")
ask("GET", "/nowhere")
ask("GET", "/text.txt")
ask("GET", "/text.txt", headers={"Accept-Encoding": "identity"})
ask("GET", "/large.bin")
ask("POST", "/upload", data=b"u" * large)
ask("POST", "/upload", data=(b"chunk" * 1000 for _ in range(20)))
ask("DELETE", "/small.txt")
ask("OPTIONS", "/small.txt", headers={"Authorization": "Bearer s3cret-T0ken", "Cookie": "id=s3cret-T0ken"})
ask("GET", "/slow.bin")

# Several requests at once.
with socket.create_connection((host, 80)) as connection:
    paths = ["/small.txt", "/nowhere", "/text.txt", "/small.txt"]
    head = "GET {} HTTP/1.1\r\nHost: pipeline\r\nX-Number: p{}\r\n{}\r\n"
    last = len(paths) - 1
    close = ["", "Connection: close\r\n"]
    connection.sendall("".join(head.format(p, n, close[n == last]) for n, p in enumerate(paths)).encode())
    received = b""
    while part := connection.recv(65536):
        received += part
codes = [int(part[:3]) for part in received.split(b"HTTP/1.1 ")[1:]]
for n, (path, code) in enumerate(zip(paths, codes, strict=True)):
    print(json.dumps({"number": f"p{n}", "method": "GET", "path": path, "status": code}), flush=True)
