"""A server that pushes JPEG pictures one after the other over HTTP, as network cameras do."""

from __future__ import annotations

import http.server
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


class MjpegServer(http.server.ThreadingHTTPServer):
    """At /camera pictures in turn, `most` a connection; at /one.jpg the first; at /clip what `clip` holds."""

    daemon_threads = True

    def __init__(self, pictures: list[bytes], most: int = 10**9, rate: float = 50.0, port: int = 0) -> None:
        super().__init__(("127.0.0.1", port), _Handler)
        self.pictures, self.most, self.rate = pictures, most, rate
        self.clip = b""
        self.connections = 0

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


@contextmanager
def serving(pictures: list[bytes], **how: Any) -> Iterator[MjpegServer]:
    with MjpegServer(pictures, **how) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


class _Handler(http.server.BaseHTTPRequestHandler):
    server: MjpegServer

    def log_message(self, *_: object) -> None: ...

    def do_GET(self) -> None:
        if self.path == "/camera":
            self._push()
        elif self.path == "/one.jpg":
            self._send("image/jpeg", self.server.pictures[0])
        elif self.path == "/clip":
            self._send("video/mp4", self.server.clip)
        elif self.path == "/page":
            self._send("text/html", b"<p>no picture")
        else:
            self.send_error(404)

    def _send(self, kind: str, content: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        try:
            self.wfile.write(content)
        except OSError:
            return

    def _push(self) -> None:
        server = self.server
        server.connections += 1
        self.send_response(200)
        self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
        self.end_headers()
        try:
            for number in range(server.most):
                picture = server.pictures[number % len(server.pictures)]
                head = f"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {len(picture)}\r\n\r\n"
                self.wfile.write(head.encode() + picture + b"\r\n")
                time.sleep(1 / server.rate)
        except OSError:
            return
