"""Links that sign a browser in. What follows # is the key; browsers send it to no server."""

from __future__ import annotations

from urllib.parse import urlsplit


def sign_in_link(address: str, token: str) -> str:
    """Return the link with which the holder of a key signs in at a ledger's address."""
    return f"{address.rstrip('/')}/sign-in#{token}"


def is_address(text: str) -> bool:
    """Return whether a text is the address of a ledger's pages: a scheme and a host, and nothing behind them."""
    try:
        parts = urlsplit(text)
        _ = parts.port
    except ValueError:
        return False
    has_more = parts.path.strip("/") or parts.query or parts.fragment or parts.username is not None
    is_plain = text.isprintable() and not any(character.isspace() for character in text)
    return parts.scheme in {"http", "https"} and bool(parts.hostname) and not has_more and is_plain
