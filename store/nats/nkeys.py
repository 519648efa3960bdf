"""Keys and signed claims as nats-servers read them: Ed25519 keys in base32 with a prefix and a checksum, JSON claims signed by them.

Invariants: what is signed here names its signer; a claim that is read is checked against the key it names, and whether that key may say
so is for whoever reads it. It keeps no key.
Source: github.com/nats-io/nkeys (text form of keys, CRC-16/XMODEM), github.com/nats-io/jwt version 2 (claims, `ed25519-nkey`).
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

#: Prefixes of the text form: an account, a server.
ACCOUNT, SERVER = 0, 13 << 3
_HEADER = {"typ": "JWT", "alg": "ed25519-nkey"}
_KEY_BYTES = 32


class BadClaims(ValueError):
    """What came is no signed claim."""


def key_of(secret: bytes) -> Ed25519PrivateKey:
    """The key that a secret of 32 bytes stands for."""
    return Ed25519PrivateKey.from_private_bytes(secret)


def text_of(key: Ed25519PrivateKey, prefix: int = ACCOUNT) -> str:
    """The public half as nats-servers write it."""
    plain = bytes((prefix,)) + key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    return base64.b32encode(plain + binascii.crc_hqx(plain, 0).to_bytes(2, "little")).decode().rstrip("=")


def signed(claims: dict[str, Any], key: Ed25519PrivateKey) -> str:
    """`claims` with their signer and an id of their own, signed."""
    named = {**claims, "iss": text_of(key)}
    digest = hashlib.sha256(json.dumps(named, sort_keys=True).encode()).digest()
    named["jti"] = base64.b32encode(digest).decode().rstrip("=")
    body = f"{_part(_HEADER)}.{_part(named)}"
    return f"{body}.{_encoded(key.sign(body.encode()))}"


def read_signed(text: str, prefix: int) -> dict[str, Any]:
    """The claims in `text`, signed by a key of that kind. Raises BadClaims."""
    try:
        head, body, signature = text.split(".")
        claims = json.loads(_decoded(body))
        issuer = base64.b32decode(claims["iss"] + "=" * (-len(claims["iss"]) % 8))
        plain, checksum = issuer[:-2], issuer[-2:]
        if (
            len(plain) != _KEY_BYTES + 1
            or plain[0] != prefix
            or checksum != binascii.crc_hqx(plain, 0).to_bytes(2, "little")
        ):
            raise BadClaims("its signer is no such key")
        Ed25519PublicKey.from_public_bytes(plain[1:]).verify(_decoded(signature), f"{head}.{body}".encode())
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise BadClaims(f"it is no signed claim: {error}") from error
    except InvalidSignature as error:
        raise BadClaims("its signature does not hold") from error
    return claims if isinstance(claims, dict) else {}


def _part(value: dict[str, Any]) -> str:
    return _encoded(json.dumps(value, separators=(",", ":")).encode())


def _encoded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def _decoded(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
