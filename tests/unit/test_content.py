"""What a publication's data holds besides the payload."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster.content import MARK, Content, pack, unpack


def test_a_payload_alone_is_carried_as_it_is() -> None:
    assert pack(Content(b'{"a":1}')) == b'{"a":1}'


@given(
    st.builds(
        Content,
        st.binary() | st.binary().map(lambda data: MARK + data),
        st.binary(),
        st.dictionaries(st.text(), st.text(), max_size=3),
        st.booleans(),
    )
)
def test_every_content_comes_back(content: Content) -> None:
    assert unpack(pack(content)) == content


def test_what_nobody_packed_is_a_value_error() -> None:
    with pytest.raises(ValueError, match=r"."):
        unpack(MARK + b"nothing")
