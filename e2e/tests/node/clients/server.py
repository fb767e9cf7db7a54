"""server.py FOLDER ADDRESS: files over HTTP (8080) and HTTPS (8443), with FOLDER/server.pem as certificate and key."""

import functools
import http.server
import ssl
import sys
import threading

folder, address = sys.argv[1:]
handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=folder + "/files")
plain = http.server.ThreadingHTTPServer((address, 8080), handler)
safe = http.server.ThreadingHTTPServer((address, 8443), handler)
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(folder + "/server.pem")
safe.socket = context.wrap_socket(safe.socket, server_side=True)
threading.Thread(target=plain.serve_forever, daemon=True).start()
print("ready", flush=True)
safe.serve_forever()
