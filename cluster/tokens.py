"""Tokens of clients (JWT): who connects, and what it may subscribe to. Pure: keys and the time are given."""

from __future__ import annotations

import base64
from collections.abc import Iterable
from typing import Any, NamedTuple

import jwt
import msgspec
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from msgspec import Raw, Struct

from .access import ChannelOptions, Grant
from .errors import ConfigurationError, TokenError, TokenExpired
from .session.commands import NOTHING

PublicKey = RSAPublicKey | EllipticCurvePublicKey | Ed25519PublicKey

_HMAC = frozenset({"HS256", "HS384", "HS512"})
_RSA = frozenset({"RS256", "RS384", "RS512"})
_EC = {"secp256r1": frozenset({"ES256"}), "secp384r1": frozenset({"ES384"}), "secp521r1": frozenset({"ES512"})}
_ED = frozenset({"EdDSA"})
PUBLIC = _RSA.union(*_EC.values(), _ED)
"""The algorithms of public keys, the only ones there are in a JWKS."""

_MEMBERS = ("kty", "kid", "n", "e", "crv", "x", "y")
"""What is read of a JWK: nothing private, and nothing that says by itself how it is to be used."""


class Key(NamedTuple):
    """A key and the only algorithms it may be used with: which one a token names decides nothing. `id`: JWKS `kid`."""

    material: str | PublicKey
    algorithms: frozenset[str]
    id: str = ""


class Expected(NamedTuple):
    """What tokens must say of themselves besides; None is not looked at."""

    audience: str | None = None
    issuer: str | None = None


class Flag(Struct, frozen=True):
    value: bool = False


class Override(Struct, frozen=True):
    """What a token changes of a channel's options. Recovery includes positioning, whatever `force_positioning` says."""

    presence: Flag | None = None
    join_leave: Flag | None = None
    force_push_join_leave: Flag | None = None
    force_recovery: Flag | None = None
    force_positioning: Flag | None = None

    def applied(self, options: ChannelOptions) -> ChannelOptions:
        if self.presence is not None:
            options = options._replace(presence=self.presence.value)
        pushed = self.force_push_join_leave or self.join_leave
        if pushed is not None:
            options = options._replace(join_leave=pushed.value)
        if self.force_recovery is not None and options.history is not None:
            recovery = options.recovery if options.recovery != "off" else "stream"
            options = options._replace(recovery=recovery if self.force_recovery.value else "off")
        if self.force_positioning is not None:
            options = options._replace(positioned=self.force_positioning.value)
        return options


class Access(NamedTuple):
    """What a token says of one subscription."""

    info: Raw = NOTHING
    data: Raw = NOTHING
    override: Override = Override()
    expire_at: float | None = None

    def grant(self, options: ChannelOptions) -> Grant:
        return Grant(self.override.applied(options), self.expire_at, self.info, self.data)


class ConnectionToken(NamedTuple):
    """`expire_at`: Unix seconds, None for never. `subs`: what the client is subscribed to without asking."""

    user: str
    info: Raw
    expire_at: float | None
    subs: dict[str, Access]


class SubscriptionToken(NamedTuple):
    """`client`: the one connection it is for; empty: any of the user's."""

    user: str
    channel: str
    client: str
    access: Access


class _Subscription(Struct):
    info: Raw = NOTHING
    b64info: str = ""
    data: Raw = NOTHING
    b64data: str = ""
    override: Override = Override()


class _Claims(_Subscription):
    sub: str = ""
    exp: float | None = None
    nbf: float | None = None
    expire_at: float | None = None
    aud: str | list[str] = []
    iss: str = ""
    channel: str = ""
    client: str = ""
    channels: list[str] = []
    subs: dict[str, _Subscription] = {}


_jws = jwt.PyJWS()
_claims = msgspec.json.Decoder(_Claims)


def secret_key(secret: str) -> Key:
    return Key(secret, _HMAC)


def public_key(pem: str) -> Key:
    """Raises `ConfigurationError`."""
    try:
        key = load_pem_public_key(pem.encode())
    except ValueError as error:
        raise ConfigurationError(f"this is no public key in PEM: {error}") from None
    return _public(key, "")


def key_set(document: bytes) -> list[Key]:
    """The keys of a JWKS that can be used; symmetric ones, those for encryption and unknown kinds cannot.

    Raises `ConfigurationError` if it is none.
    """
    try:
        found = msgspec.json.decode(document, type=dict[str, Any])["keys"]
        members = msgspec.convert(found, list[dict[str, Any]])
    except (ValueError, KeyError):
        raise ConfigurationError('this is no JWKS: it must be JSON like {"keys": [...]}') from None
    keys = []
    for jwk in members:
        if jwk.get("kty") not in ("RSA", "EC", "OKP") or jwk.get("use", "sig") != "sig":
            continue
        try:
            material = jwt.PyJWK({name: jwk[name] for name in _MEMBERS if name in jwk}).key
            key = _public(material, str(jwk.get("kid", "")))
        except (jwt.PyJWTError, ConfigurationError, ValueError, TypeError):
            continue
        only = jwk.get("alg")
        keys.append(key if only is None else key._replace(algorithms=key.algorithms & {only}))
    return keys


def header(token: str) -> tuple[str, str]:
    """The algorithm and the id of the key that a token names, empty for none. Not verified. Raises `TokenError`."""
    try:
        found = jwt.get_unverified_header(token)
    except (jwt.PyJWTError, ValueError) as error:
        raise TokenError(f"it is no token: {error}") from None
    algorithm, id = found.get("alg"), found.get("kid", "")
    if not isinstance(algorithm, str) or not isinstance(id, str):
        raise TokenError("its header is not usable")
    return algorithm, id


def signed_with(keys: Iterable[Key], token: str) -> bool:
    """Whether one of the keys has signed the token, whatever that says."""
    try:
        _payload(token, keys)
    except TokenError:
        return False
    return True


def connection(token: str, keys: Iterable[Key], expected: Expected, now: float) -> ConnectionToken:
    """What a token to connect says. `now`: Unix seconds. Raises `TokenExpired` or another `TokenError`."""
    claims = _verified(token, keys, expected, now)
    if claims.channel:
        raise TokenError("it is a token for a subscription")
    subs = {channel: Access() for channel in claims.channels}
    subs |= {channel: _access(said) for channel, said in claims.subs.items()}
    return ConnectionToken(claims.sub, _json(claims.info, claims.b64info), _expiry(claims, now), subs)


def subscription(token: str, keys: Iterable[Key], expected: Expected, now: float) -> SubscriptionToken:
    """What a token to subscribe says. `now`: Unix seconds. Raises `TokenExpired` or another `TokenError`."""
    claims = _verified(token, keys, expected, now)
    if not claims.channel:
        raise TokenError("it names no channel")
    access = _access(claims)._replace(expire_at=_expiry(claims, now))
    return SubscriptionToken(claims.sub, claims.channel, claims.client, access)


def _verified(token: str, keys: Iterable[Key], expected: Expected, now: float) -> _Claims:
    claims = _decoded(_payload(token, keys))
    if claims.nbf is not None and now < claims.nbf:
        raise TokenError("it is not good yet")
    audience = claims.aud if isinstance(claims.aud, list) else [claims.aud]
    if expected.audience is not None and expected.audience not in audience:
        raise TokenError("it is for another audience")
    if expected.issuer is not None and expected.issuer != claims.iss:
        raise TokenError("it is from another issuer")
    if claims.exp is not None and now >= claims.exp:
        raise TokenExpired("it has expired")
    return claims


def _payload(token: str, keys: Iterable[Key]) -> bytes:
    algorithm, id = header(token)
    candidates = [key for key in keys if algorithm in key.algorithms and (key.id == id or not (key.id and id))]
    if not candidates:
        raise TokenError(f"no key is there for {algorithm!r}, kid {id!r}")
    for key in candidates:
        try:
            payload: bytes = _jws.decode(token, key.material, algorithms=[algorithm])
        except (jwt.PyJWTError, ValueError):
            continue
        return payload
    raise TokenError("it is signed with another key")


def _decoded(payload: bytes) -> _Claims:
    try:
        return _claims.decode(payload)
    except ValueError as error:
        raise TokenError(f"its claims are not usable: {error}") from None


def _expiry(claims: _Claims, now: float) -> float | None:
    if claims.expire_at is None:
        return claims.exp
    if claims.expire_at == 0:
        return None
    if now >= claims.expire_at:
        raise TokenExpired("what it allows has expired")
    return claims.expire_at


def _access(said: _Subscription) -> Access:
    return Access(_json(said.info, said.b64info), _json(said.data, said.b64data), said.override)


def _json(plain: Raw, encoded: str) -> Raw:
    """JSON on one line, given as it is or in Base64. Clients of both encodings are told it, so it must be JSON."""
    try:
        text = base64.b64decode(encoded, validate=True) if encoded else bytes(plain)
        if text in (b"", b"null"):
            return NOTHING
        msgspec.json.decode(text)
        return Raw(msgspec.json.format(text, indent=-1))
    except ValueError as error:
        raise TokenError(f"its info or data is not JSON: {error}") from None


def _public(key: object, id: str) -> Key:
    if isinstance(key, RSAPublicKey):
        return Key(key, _RSA, id)
    if isinstance(key, EllipticCurvePublicKey) and key.curve.name in _EC:
        return Key(key, _EC[key.curve.name], id)
    if isinstance(key, Ed25519PublicKey):
        return Key(key, _ED, id)
    raise ConfigurationError("tokens are verified with RSA, Ed25519, or EC keys of the curves P-256, P-384, P-521")
