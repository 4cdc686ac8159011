"""Where a request comes from, as far as that can be known.

Every proxy appends to X-Forwarded-For the address that it saw; what stands before is whatever
the client claimed. So the entry that counts is found from the end, by the number of proxies in
front of the function whose word is good: 1 for a function that is called directly (Cloud Run's
front end appends the client), 2 behind an external load balancer, which appends the client and
then itself. Behind a balancer the function must take no direct calls (ingress "internal and load
balancing"), or whoever goes around it writes the entry himself.
Source: Google's "External Application Load Balancer overview", X-Forwarded-For header.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

# An IPv6 customer is given a /64 at least, and may call from any address in it.
_IPV6_PREFIX = 64
UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Source:
    """An IPv4 address or an IPv6 network; "unknown" is one source for all that cannot be told."""

    network: str


def source_of(environ: Mapping[str, Any], proxies: int) -> Source:
    """Never raises: a header that makes no sense is the caller's doing, and gains nothing."""
    entries = [entry.strip() for entry in environ.get("HTTP_X_FORWARDED_FOR", "").split(",")]
    if 0 < proxies <= len(entries) and entries[-proxies]:
        return Source(_network(entries[-proxies]))
    return Source(_network(environ.get("REMOTE_ADDR", "")))


def _network(text: str) -> str:
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return UNKNOWN
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is None:
            # From the number, not the text: a zone (`%eth0`) is a name that anybody can choose.
            return str(ipaddress.IPv6Network((int(address), _IPV6_PREFIX), strict=False))
        address = address.ipv4_mapped
    return str(address)
