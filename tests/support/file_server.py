"""A web server on this machine with one file, and with faults to switch on."""

from __future__ import annotations

import hashlib
import socket
import struct
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

CONTENT = bytes(range(256)) * 20  # 5,120 bytes, each place another content
DIGEST = hashlib.sha256(CONTENT).hexdigest()


class Site(ThreadingHTTPServer):
    """A web server on this machine with one file, and with faults to switch on."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Reply)
        self.content = CONTENT
        self.drops: list[int] = []  # one a request: bytes until the line is cut
        self.statuses: list[int] = []  # one a request, instead of the file
        self.says_length = True
        self.boast = 0  # bytes announced beyond those that come
        self.redirect = ""
        self.requests = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/set.zip"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A line that is cut on purpose is no news."""


class Reply(BaseHTTPRequestHandler):
    server: Site

    def log_message(self, *arguments: object) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        site = self.server
        site.requests += 1
        if site.statuses:
            self.send_error(site.statuses.pop(0))
        elif site.redirect:
            self.send_response(302)
            self.send_header("Location", site.redirect)
            self.end_headers()
        else:
            self.send_file(site)

    def send_file(self, site: Site) -> None:
        self.send_response(200)
        if site.says_length:
            self.send_header("Content-Length", str(len(site.content) + site.boast))
        self.end_headers()
        cut = site.drops.pop(0) if site.drops else None
        self.wfile.write(site.content[:cut])
        if cut is not None and cut % 2:  # an odd number: not closed, but reset
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.connection.close()
