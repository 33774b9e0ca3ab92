"""Property tests look at a hundred examples each, and are never judged by time."""

from __future__ import annotations

from hypothesis import settings

settings.register_profile("session", max_examples=100, deadline=None)
settings.load_profile("session")
