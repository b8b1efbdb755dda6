"""Who sends a request without a key, for limits that are a client's."""

from __future__ import annotations

from ipaddress import ip_address, ip_network

from fastapi import Request


def client_of(request: Request) -> str:
    """Return who sends a request: an IPv4 address, or the network of 64 bits that one client of IPv6 has to itself.

    For a proxy on this machine it is the address that the proxy names last in `X-Forwarded-For`.
    """
    host = request.client.host if request.client else ""
    try:
        address = ip_address(host)
        if address.is_loopback:
            address = ip_address(request.headers.get("x-forwarded-for", host).rpartition(",")[2].strip())
    except ValueError:
        return host
    mapped = address if address.version == 4 else address.ipv4_mapped
    return str(mapped or ip_network((int(address), 64), strict=False))
