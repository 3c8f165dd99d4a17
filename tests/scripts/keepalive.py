"""HTTP over connections that stay open. The server answers with 200, paths that begin with /missing with 404. The client does what the lines
on its standard input say and prints the status of each answer:

    keep PORT PATH    ask on the connection to that port that is open already, or on a new one that stays open
    once PORT PATH    ask on a connection of its own
"""

import http.client
import http.server
import sys
import threading


class Answer(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        self.send_response(404 if self.path.startswith("/missing") else 200)
        self.send_header("Content-Length", "5")
        self.end_headers()
        self.wfile.write(b"hello")

    def log_message(self, *_):
        pass


role, host = sys.argv[1], sys.argv[2]
if role == "serve":
    servers = [http.server.ThreadingHTTPServer((host, int(port)), Answer) for port in sys.argv[3:]]
    for server in servers:
        threading.Thread(target=server.serve_forever, daemon=True).start()
    print("listening", flush=True)
    sys.stdin.read()
else:
    kept = {}
    for line in sys.stdin:
        how, port, path = line.split()
        connection = kept.get(port) if how == "keep" else None
        if connection is None:
            connection = http.client.HTTPConnection(host, int(port))
        if how == "keep":
            kept[port] = connection
        connection.request("GET", path)
        answer = connection.getresponse()
        answer.read()
        if how == "once":
            connection.close()
        print(answer.status, flush=True)
