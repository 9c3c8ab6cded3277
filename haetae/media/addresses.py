"""Addresses of the web: whose they are, which ones lead to the same item, and what in them is secret.

What may be asked for is decided in `wire` and `egress`; how they are written into tables in `sources.redact`.
"""

from __future__ import annotations

import re
from urllib.parse import unquote, urlsplit, urlunsplit

DEFAULT_PORTS = {"http": 80, "https": 443}
_SIGNING = frozenset(
    {
        "sig", "sign", "signature", "lsig", "token", "tok", "auth", "authorization", "auth_token", "access_token",
        "key", "apikey", "api_key", "password", "pwd", "secret", "session", "sessionid", "session_id", "sid",
        "hash", "hmac", "md5", "digest", "nonce", "policy", "key-pair-id", "keypairid", "credential",
        "expires", "expire", "expiry", "exp", "e", "st", "se", "sp", "sv", "sr", "spr", "skoid", "sktid", "skt",
        "ske", "sks", "skv", "hdnts", "hdnea", "hdntl", "acl", "wssecret", "wstime", "verify", "validfrom",
        "validto", "ttl", "timestamp", "ts", "oh", "oe", "_nc_ohc", "ip", "cdn_hash", "awsaccesskeyid",
        "googleaccessid", "ossaccesskeyid", "security-token",
    }
)  # fmt: skip
"""Parameters that sign an address or let it expire; they differ each time the address is given out."""
_SIGNING_PREFIXES = ("x-amz-", "x-goog-", "x-oss-", "x-cos-", "q-sign", "q-ak", "q-key-time", "q-signature")
_EVERYDAY = frozenset(
    {
        "st", "se", "sp", "sv", "sr", "spr", "e", "ip", "ts", "oh", "oe", "key", "hash", "sid", "session", "md5",
        "digest", "timestamp", "ttl", "acl", "verify",
    }
)  # fmt: skip
"""Of them, those that may as well name an item: they count only beside one that is certain."""


def is_web(address: str) -> bool:
    """Whether an address is fetched over http(s); paths, also with a `?` or `#` in them, are not."""
    return address[:8].lower().startswith(("http://", "https://"))


def host_of(address: str) -> str:
    """Host of an address in lower case, with its port where that is not the scheme's own; '' for a path."""
    parts = urlsplit(address)
    host = (parts.hostname or "").rstrip(".")
    port = parts.port
    return host if port in (None, DEFAULT_PORTS.get(parts.scheme)) else f"{host}:{port}"


def same_item(address: str) -> str:
    """One spelling for all addresses of one item: no credentials, fragment, signature or expiry.

    Parameters are sorted. The result names an item and is hashed; it is not fetched, and since other
    parameters keep their values it is not written into tables either.
    """
    parts = urlsplit(address)
    pairs = [pair for pair in parts.query.split("&") if pair]
    names = {_name(pair) for pair in pairs}
    certain = any(_signs(name) and name not in _EVERYDAY for name in names)
    kept = [pair for pair in pairs if not (_signs(_name(pair)) and (certain or _name(pair) not in _EVERYDAY))]
    return urlunsplit((parts.scheme.lower(), host_of(address), parts.path or "/", "&".join(sorted(kept)), ""))


def without_secrets(message: str) -> str:
    """An error message without the queries and credentials of the addresses in it; at most 500 characters."""
    message = re.sub(r"(https?://)[^/\s@]*@", r"\1", message, flags=re.IGNORECASE)
    return re.sub(r"(https?://[^\s?#]+)[?#]\S*", r"\1", message, flags=re.IGNORECASE)[:500]


def _name(pair: str) -> str:
    return unquote(pair.split("=", 1)[0]).lower()


def _signs(name: str) -> bool:
    return name in _SIGNING or name.startswith(_SIGNING_PREFIXES)
