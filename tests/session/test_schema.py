"""The Protobuf schema, its compiled form and the messages of `commands` are the same."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from msgspec import Struct

from cluster.session import commands
from cluster.session.protobuf import message_class
from tests.waiting import PATIENCE

ROOT = Path(__file__).parents[2]
STRUCTS = [kind for kind in vars(commands).values() if isinstance(kind, type) and Struct in kind.__bases__]


def test_the_compiled_schema_is_current() -> None:
    check = [sys.executable, "scripts/protobuf", "--check"]
    done = subprocess.run(check, cwd=ROOT, capture_output=True, text=True, timeout=PATIENCE)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("kind", STRUCTS, ids=lambda kind: kind.__name__)
def test_a_message_has_the_same_fields_in_both_encodings(kind: type[Struct]) -> None:
    fields = message_class(kind.__name__).DESCRIPTOR.fields_by_name
    assert set(fields) == set(kind.__struct_fields__)
