"""Keys, and tokens signed with them."""

from __future__ import annotations

import json
from functools import cache
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

SECRET = "a secret that is long enough for every algorithm there is: " + "x" * 16
NOW = 1_700_000_000.0

PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey

KINDS = {
    "RS256": "rsa",
    "RS384": "rsa",
    "RS512": "rsa",
    "ES256": "p256",
    "ES384": "p384",
    "ES512": "p521",
    "EdDSA": "ed25519",
}
"""The kind of private key that each algorithm is used with."""


@cache
def private_key(kind: str) -> PrivateKey:
    match kind:
        case "rsa":
            return rsa.generate_private_key(65537, 2048)
        case "p256":
            return ec.generate_private_key(ec.SECP256R1())
        case "p384":
            return ec.generate_private_key(ec.SECP384R1())
        case "p521":
            return ec.generate_private_key(ec.SECP521R1())
        case _:
            return ed25519.Ed25519PrivateKey.generate()


def pem(kind: str) -> str:
    """The public key."""
    return private_key(kind).public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


def jwk(kind: str, **members: Any) -> dict[str, Any]:
    """The public key as a JWK."""
    key = private_key(kind).public_key()
    if isinstance(key, rsa.RSAPublicKey):
        found = RSAAlgorithm.to_jwk(key)
    elif isinstance(key, ec.EllipticCurvePublicKey):
        found = ECAlgorithm.to_jwk(key)
    else:
        found = OKPAlgorithm.to_jwk(key)
    return {**json.loads(found), **members}


def token(algorithm: str = "HS256", *, kid: str | None = None, secret: str = SECRET, **claims: Any) -> str:
    """A token with these claims."""
    key: Any = private_key(KINDS[algorithm]) if algorithm in KINDS else secret
    return jwt.encode(claims, key, algorithm, headers=None if kid is None else {"kid": kid})
