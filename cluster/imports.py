"""An application's modules, by the names a command is given."""

from __future__ import annotations

import importlib
import sys
from types import ModuleType

from .errors import ConfigurationError
from .integration import Hub


def load_module(name: str) -> ModuleType:
    """The module of this name, looked for below the current directory first. Raises `ConfigurationError`."""
    if "" not in sys.path:
        sys.path.insert(0, "")
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise ConfigurationError(f"module {name!r}: {error}") from error


def load_hub(name: str) -> Hub:
    """The hub called `module:attribute`. Raises `ConfigurationError`."""
    module, _, attribute = name.partition(":")
    hub = getattr(load_module(module), attribute, None)
    if not isinstance(hub, Hub):
        raise ConfigurationError(f"{name!r} is not a Hub: give it as module:attribute")
    return hub
