"""Tokens: who signed them, what they say, and until when."""

from __future__ import annotations

import base64
import json
from typing import Any

import jwt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster.access import ChannelOptions
from cluster.errors import ConfigurationError, TokenError, TokenExpired
from cluster.session.commands import NOTHING
from cluster.stream import Retention
from cluster.tokens import Expected, Key, connection, key_set, public_key, secret_key, subscription

from .signing import KINDS, NOW, SECRET, jwk, pem, private_key, token

HMAC = secret_key(SECRET)
ANYTHING = Expected()
KEPT = ChannelOptions(history=Retention(10, 60))


def refused(token: str, *keys: Key, expected: Expected = ANYTHING) -> TokenError:
    with pytest.raises(TokenError) as caught:
        connection(token, keys or [HMAC], expected, NOW)
    return caught.value


def segment(value: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


class TestKeys:
    @pytest.mark.parametrize("algorithm", ["HS256", "HS384", "HS512"])
    def test_a_secret_verifies_what_it_signed(self, algorithm: str) -> None:
        assert connection(token(algorithm, sub="ann"), [HMAC], ANYTHING, NOW).user == "ann"

    @pytest.mark.parametrize("algorithm", KINDS)
    def test_a_public_key_verifies_what_its_private_key_signed(self, algorithm: str) -> None:
        key = public_key(pem(KINDS[algorithm]))
        assert connection(token(algorithm, sub="ann"), [key], ANYTHING, NOW).user == "ann"

    @pytest.mark.parametrize("algorithm", KINDS)
    def test_a_key_of_a_set_verifies_too(self, algorithm: str) -> None:
        (key,) = key_set(json.dumps({"keys": [jwk(KINDS[algorithm], kid="1")]}).encode())
        assert connection(token(algorithm, sub="ann", kid="1"), [key], ANYTHING, NOW).user == "ann"

    def test_another_secret_does_not(self) -> None:
        assert not isinstance(refused(token(secret=SECRET + "x", sub="ann")), TokenExpired)

    @pytest.mark.parametrize("kind", ["rsa", "p256", "ed25519"])
    def test_a_public_key_is_no_secret(self, kind: str) -> None:
        """The classic: HS256, signed with the text of the public key, which everybody has."""
        header, payload = segment({"alg": "HS256", "typ": "JWT"}), segment({"sub": "root"})
        signature = jwt.get_algorithm_by_name("HS256").sign(f"{header}.{payload}".encode(), pem(kind).encode())
        forged = f"{header}.{payload}.{base64.urlsafe_b64encode(signature).rstrip(b'=').decode()}"
        refused(forged, public_key(pem(kind)))
        refused(forged, public_key(pem(kind)), HMAC)

    @pytest.mark.parametrize("algorithm", ["none", "None", "NONE", "", "HS1", "PS256", None, 5, ["HS256"]])
    def test_no_other_algorithm_is_taken(self, algorithm: Any) -> None:
        unsigned = f"{segment({'alg': algorithm})}.{segment({'sub': 'root'})}."
        refused(unsigned, HMAC, public_key(pem("rsa")))

    def test_an_algorithm_is_that_of_its_curve(self) -> None:
        signed = token("ES256", sub="ann")
        key = public_key(pem("p384"))
        refused(signed, key)
        refused(signed, key._replace(algorithms=frozenset({"ES256"})))

    def test_of_several_keys_the_one_that_signed_is_found(self) -> None:
        keys = [HMAC, public_key(pem("rsa")), public_key(pem("p256"))]
        for algorithm in ("HS256", "RS256", "ES256"):
            assert connection(token(algorithm, sub="ann"), keys, ANYTHING, NOW).user == "ann"

    def test_a_key_with_an_id_verifies_only_tokens_that_name_it(self) -> None:
        key = key_set(json.dumps({"keys": [jwk("rsa", kid="new")]}).encode())
        connection(token("RS256", kid="new", sub="ann"), key, ANYTHING, NOW)
        refused(token("RS256", kid="old", sub="ann"), *key)

    def test_what_a_set_has_besides_is_left_out(self) -> None:
        document = {
            "keys": [
                {"kty": "oct", "k": "c2VjcmV0", "kid": "symmetric"},
                {"kty": "RSA", "kid": "broken", "n": "!", "e": "AQAB"},
                {"kty": "XYZ"},
                jwk("rsa", kid="encryption", use="enc"),
                jwk("rsa", kid="only RS512", use="sig", alg="RS512"),
                jwk("p256", kid="good"),
            ]
        }
        keys = key_set(json.dumps(document).encode())
        assert [(key.id, sorted(key.algorithms)) for key in keys] == [("only RS512", ["RS512"]), ("good", ["ES256"])]

    @pytest.mark.parametrize("document", [b"", b"[]", b"{}", b'{"keys": 5}', b'{"keys": [5]}', b"\xff"])
    def test_what_is_no_set_is_told(self, document: bytes) -> None:
        with pytest.raises(ConfigurationError, match="JWKS"):
            key_set(document)

    @pytest.mark.parametrize("text", ["", "secret", "-----BEGIN PUBLIC KEY-----\n!\n-----END PUBLIC KEY-----"])
    def test_what_is_no_public_key_is_told(self, text: str) -> None:
        with pytest.raises(ConfigurationError, match="PEM"):
            public_key(text)


class TestTime:
    def test_expired_is_something_else_than_invalid(self) -> None:
        assert isinstance(refused(token(sub="ann", exp=NOW)), TokenExpired)
        assert isinstance(refused(token(sub="ann", exp=NOW - 1, secret=SECRET + "x")), TokenError)
        assert not isinstance(refused(token(sub="ann", exp=NOW - 1, secret=SECRET + "x")), TokenExpired)

    def test_until_it_expires_the_connection_may_last(self) -> None:
        assert connection(token(sub="ann", exp=NOW + 60), [HMAC], ANYTHING, NOW).expire_at == NOW + 60
        assert connection(token(sub="ann"), [HMAC], ANYTHING, NOW).expire_at is None

    def test_what_is_not_good_yet_is_not_good(self) -> None:
        assert not isinstance(refused(token(sub="ann", nbf=NOW + 1)), TokenExpired)
        assert connection(token(sub="ann", nbf=NOW), [HMAC], ANYTHING, NOW).user == "ann"

    @pytest.mark.parametrize(("expire_at", "lasts"), [(0, None), (NOW + 5, NOW + 5), (NOW + 500, NOW + 500)])
    def test_the_connection_may_last_longer_or_shorter_than_the_token(
        self, expire_at: float, lasts: float | None
    ) -> None:
        said = connection(token(sub="ann", exp=NOW + 60, expire_at=expire_at), [HMAC], ANYTHING, NOW)
        assert said.expire_at == lasts

    def test_a_connection_that_may_last_no_longer_has_expired(self) -> None:
        assert isinstance(refused(token(sub="ann", exp=NOW + 60, expire_at=NOW - 1)), TokenExpired)

    def test_a_time_is_a_number(self) -> None:
        refused(token(sub="ann", expire_at="soon"))


class TestClaims:
    def test_who_is_not_named_is_anonymous(self) -> None:
        assert connection(token(), [HMAC], ANYTHING, NOW).user == ""

    @pytest.mark.parametrize("claims", [{"sub": 5}, {"subs": []}, {"channels": "news"}, {"info": {}, "channels": [5]}])
    def test_claims_of_other_types_are_invalid(self, claims: dict[str, Any]) -> None:
        key: Any = jwt.PyJWS().encode(json.dumps(claims).encode(), SECRET, "HS256")
        refused(key)

    def test_info_is_passed_on_as_json_on_one_line(self) -> None:
        payload = b'{"sub": "ann", "info": {\n "name":\n "Ann"}}'
        said = connection(jwt.PyJWS().encode(payload, SECRET, "HS256"), [HMAC], ANYTHING, NOW)
        assert bytes(said.info) == b'{"name":"Ann"}'

    def test_info_may_come_in_base64(self) -> None:
        encoded = base64.b64encode(b'{"name": "Ann"}').decode()
        assert bytes(connection(token(b64info=encoded), [HMAC], ANYTHING, NOW).info) == b'{"name":"Ann"}'

    @pytest.mark.parametrize("encoded", ["!", base64.b64encode(b"\xff\x00").decode()])
    def test_what_comes_in_base64_must_be_json(self, encoded: str) -> None:
        refused(token(b64info=encoded))

    @pytest.mark.parametrize("claims", [{}, {"info": None}])
    def test_no_info_is_nothing(self, claims: dict[str, Any]) -> None:
        assert connection(token(**claims), [HMAC], ANYTHING, NOW).info == NOTHING

    def test_audience_and_issuer_matter_when_they_are_expected(self) -> None:
        expected = Expected(audience="chat", issuer="login")
        for audience in ("chat", ["mail", "chat"]):
            connection(token(aud=audience, iss="login"), [HMAC], expected, NOW)
        connection(token(aud="mail", iss="another"), [HMAC], ANYTHING, NOW)
        refused(token(aud="mail", iss="login"), expected=expected)
        refused(token(aud=["mail"], iss="login"), expected=expected)
        refused(token(iss="login"), expected=expected)
        refused(token(aud="chat"), expected=expected)
        refused(token(aud="chat", iss="another"), expected=expected)

    def test_it_names_the_channels_that_are_subscribed_to(self) -> None:
        subs = {"b": {"info": {"as": "editor"}, "data": [1], "override": {"presence": {"value": True}}}}
        said = connection(token(channels=["a", "b"], subs=subs), [HMAC], ANYTHING, NOW).subs
        assert list(said) == ["a", "b"]
        assert said["a"].grant(KEPT).options == KEPT
        grant = said["b"].grant(KEPT)
        assert (bytes(grant.info), bytes(grant.data)) == (b'{"as":"editor"}', b"[1]")
        assert grant.options == KEPT._replace(presence=True)

    @pytest.mark.parametrize(
        ("override", "changed"),
        [
            ({"force_recovery": {"value": True}}, {"recovery": "stream"}),
            ({"force_positioning": {"value": True}}, {"positioned": True}),
            ({"force_push_join_leave": {"value": True}}, {"join_leave": True}),
            ({"join_leave": {"value": False}, "force_push_join_leave": {"value": True}}, {"join_leave": True}),
            ({"presence": {"value": False}, "unheard_of": {"value": True}}, {"presence": False}),
        ],
    )
    def test_it_overrides_options_of_the_channel(self, override: dict[str, Any], changed: dict[str, Any]) -> None:
        said = subscription(token(channel="news", override=override), [HMAC], ANYTHING, NOW)
        assert said.access.grant(KEPT).options == KEPT._replace(**changed)

    def test_what_is_not_kept_cannot_be_recovered(self) -> None:
        said = subscription(token(channel="news", override={"force_recovery": {"value": True}}), [HMAC], ANYTHING, NOW)
        assert said.access.grant(ChannelOptions()).options == ChannelOptions()

    def test_a_token_for_a_subscription_does_not_connect_nor_the_other_way(self) -> None:
        refused(token(sub="ann", channel="news"))
        with pytest.raises(TokenError):
            subscription(token(sub="ann"), [HMAC], ANYTHING, NOW)

    def test_a_token_for_a_subscription_says_whose_and_where(self) -> None:
        said = subscription(token(sub="ann", channel="news", client="1", exp=NOW + 9), [HMAC], ANYTHING, NOW)
        assert (said.user, said.channel, said.client, said.access.expire_at) == ("ann", "news", "1", NOW + 9)


@given(st.text(max_size=200) | st.binary(max_size=200).map(lambda data: data.decode("latin-1")))
def test_any_text_is_a_token_or_a_token_error(text: str) -> None:
    refused(text)


@given(st.data())
def test_a_changed_token_is_a_token_error(data: st.DataObject) -> None:
    good = token(sub="ann")
    at = data.draw(st.integers(0, len(good) - 1))
    put = data.draw(st.characters(max_codepoint=0x17F))
    changed = good[:at] + put + good[at + 1 :]
    if changed != good:
        refused(changed)


def test_private_keys_are_those_of_the_tests_only() -> None:
    """A JWK may come with its private half: only the public one is read."""
    number = private_key("rsa").private_numbers().d  # type: ignore[union-attr]
    private = jwk("rsa", d=base64.urlsafe_b64encode(number.to_bytes(256, "big")).rstrip(b"=").decode())
    (key,) = key_set(json.dumps({"keys": [private]}).encode())
    assert not hasattr(key.material, "private_numbers")
