"""What the head of a request may be, beyond what the parser requires; and the answer to one that is refused.

It is made without the application, which does not know of such requests.
"""

from __future__ import annotations

from http import HTTPStatus

from api.http.requests.request_log import HEADER, choose_id
from api.http.requests.security_headers import SECURITY_HEADERS
from api.messages.problems import Fault, response

_VERSIONS = {"1.0", "1.1"}


def ambiguity(version: str, headers: list[tuple[bytes, bytes]]) -> str | None:
    """Return why a head could be read differently by a proxy, or None. The parser has refused the rest."""
    if version not in _VERSIONS:
        return f"HTTP/{version} is not supported; use HTTP/1.1"
    hosts = 0
    for name, value in headers:
        if name == b"host":
            hosts += 1
        elif name == b"transfer-encoding" and (version == "1.0" or value.strip().lower() != b"chunked"):
            return "Transfer-Encoding must be chunked, in HTTP/1.1; send the body without another encoding"
    if hosts > 1 or (not hosts and version == "1.1"):
        return f"the request has {hosts} Host headers; send one"
    return None


def answer_of(reason: Fault) -> bytes:
    """Return a problem as the last answer of a connection."""
    answer = response(reason, {"Connection": "close"})
    status = HTTPStatus(answer.status_code)
    headers = [*answer.raw_headers, (HEADER, choose_id(None)), *SECURITY_HEADERS]
    lines = [f"HTTP/1.1 {status.value} {status.phrase}".encode(), *(name + b": " + value for name, value in headers)]
    return b"\r\n".join([*lines, b"", b""]) + bytes(answer.body)
