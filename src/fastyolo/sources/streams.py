"""Network streams through PyAV: rtsp://, http(s):// and the like."""

from __future__ import annotations

import http.client
import os
import re
import socket
import urllib.error
import urllib.request
from contextlib import suppress
from typing import Any
from urllib.parse import urlsplit

from fastyolo.errors import SourceError
from fastyolo.files import shown
from fastyolo.sources.pyav import import_av
from fastyolo.sources.source import FrameSource
from fastyolo.sources.stdin import MAX_BYTES, Picture
from fastyolo.sources.video import AvSource

OPEN_SECONDS = 10.0
"""How long a server may take to answer."""
SILENCE_SECONDS = 10.0
"""How long it may send nothing."""

_PORTS = {"rtsp": 554, "rtsps": 322, "http": 80, "https": 443, "rtmp": 1935, "rtmps": 443}


class NetworkSource(AvSource):
    """What FFmpeg itself fetches. `interrupt` cuts its connections, for it would wait for the server."""

    def __init__(self, address: str, *, live: bool, options: dict[str, str]) -> None:
        before = _sockets()
        timeout = (OPEN_SECONDS, SILENCE_SECONDS)
        super().__init__(address, without_password(address), live=live, options=options, timeout=timeout)
        self._server = _server(address)
        self._connections = _sockets() - before

    def interrupt(self) -> None:
        super().interrupt()
        for number in self._connections:
            with suppress(OSError), socket.socket(fileno=os.dup(number)) as connection:
                # Another thread may have opened one meanwhile, or have been given the number of a closed one.
                if connection.getpeername()[:2] in self._server:
                    connection.shutdown(socket.SHUT_RDWR)


class HttpSource(AvSource):
    """Pictures that a server pushes one after the other (multipart/x-mixed-replace), as cameras do."""

    def __init__(self, response: http.client.HTTPResponse, address: str) -> None:
        self._response = response
        self._socket = _socket_of(response)
        try:
            super().__init__(
                _Body(response), without_password(address), live=True, format="mpjpeg", buffer_size=1 << 16
            )
        except SourceError:
            response.close()
            raise

    def interrupt(self) -> None:
        super().interrupt()
        if self._socket is not None:
            with suppress(OSError):
                self._socket.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        super().close()
        self._response.close()


class _Body:
    """What arrives, as soon as it arrives; for FFmpeg, which asks for more than there is."""

    def __init__(self, response: http.client.HTTPResponse) -> None:
        self._response = response

    def read(self, size: int) -> bytes:
        try:
            return self._response.read1(size)
        except (OSError, http.client.HTTPException):
            return b""  # the server has gone: for a live source the end is fault enough


def open_stream(address: str) -> FrameSource:
    """Open a network address as a source of frames.

    Raises:
        SourceError: it does not answer, or what it sends is no video.
    """
    found = fetch(address)
    if isinstance(found, Picture):
        raise SourceError(f"{shown(without_password(address))} is a single picture, expected a video")
    return found


def fetch(address: str) -> Picture | FrameSource:
    """Open a network address: a picture, or a source of frames.

    Raises:
        SourceError: it does not answer, or what it sends is neither.
    """
    scheme = urlsplit(address).scheme.lower()
    if scheme in ("http", "https"):
        return _fetch_http(address)
    import_av()
    options = {"rtsp_flags": "prefer_tcp"} if scheme in ("rtsp", "rtsps") else {}
    return NetworkSource(address, live=True, options=options)


def without_password(address: str) -> str:
    """The address as it may be shown."""
    return re.sub(r"//[^/@]*@", "//", address)


def _fetch_http(address: str) -> Picture | FrameSource:
    name = shown(without_password(address))
    try:
        response = _request(address)
    except urllib.error.HTTPError as error:
        raise SourceError(f"{name}: the server answers {error.code} {shown(error.reason)}") from None
    except (OSError, ValueError, http.client.HTTPException) as error:
        reason = getattr(error, "reason", None) or error
        raise SourceError(f"{name}: {' '.join(str(getattr(reason, 'strerror', None) or reason).split())}") from None
    kind = response.headers.get_content_type()
    if kind.startswith("image/"):
        with response:
            return Picture(_body(response, name))
    if kind.startswith("multipart/"):
        import_av()
        return HttpSource(response, address)
    response.close()
    if kind.startswith("text/"):
        raise SourceError(f"{name} is {kind}, expected a picture or a video")
    import_av()
    return NetworkSource(address, live=False, options={})


def _request(address: str) -> http.client.HTTPResponse:
    parts = urlsplit(address)
    headers = {"User-Agent": "fastyolo"}
    if parts.username is not None:
        import base64
        from urllib.parse import unquote

        secret = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        headers["Authorization"] = f"Basic {base64.b64encode(secret.encode()).decode()}"
        address = without_password(address)
    request = urllib.request.Request(address, headers=headers)
    response: http.client.HTTPResponse = urllib.request.urlopen(request, timeout=OPEN_SECONDS)
    return response


def _body(response: http.client.HTTPResponse, name: str) -> bytes:
    try:
        content = response.read(MAX_BYTES + 1)
    except (OSError, http.client.HTTPException) as error:
        raise SourceError(f"{name} broke off: {error}") from None
    if len(content) > MAX_BYTES:
        raise SourceError(f"{name} is a picture of more than {MAX_BYTES >> 20} MB")
    return content


def _socket_of(response: http.client.HTTPResponse) -> socket.socket | None:
    raw: Any = getattr(response.fp, "raw", None)
    return getattr(raw, "_sock", None)


def _sockets() -> set[int]:
    """This process' open sockets."""
    found = set()
    with suppress(OSError):
        for name in os.listdir("/proc/self/fd"):
            with suppress(OSError):
                if os.readlink(f"/proc/self/fd/{name}").startswith("socket:"):
                    found.add(int(name))
    return found


def _server(address: str) -> set[tuple[str, int]]:
    """Where a connection to this address leads."""
    parts = urlsplit(address)
    try:
        port = parts.port or _PORTS.get(parts.scheme.lower(), 0)
        found = socket.getaddrinfo(parts.hostname, port, type=socket.SOCK_STREAM)
    except (OSError, ValueError):
        return set()
    return {(str(place[0]), int(place[1])) for *_, place in found}
