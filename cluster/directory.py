"""The run directory: sockets, rendered configuration, secrets."""

from __future__ import annotations

import os
from pathlib import Path

from .errors import ConfigurationError


def prepare_directory(path: Path) -> Path:
    """Make `path` a directory that only this user can enter. Raises `ConfigurationError`."""
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        path.mkdir(mode=0o700, exist_ok=True)
        status = path.lstat()
    except OSError as error:
        raise ConfigurationError(f"RUN_DIR={str(path)!r}: {error.strerror}") from None
    if status.st_uid != os.getuid() or status.st_mode & 0o777 != 0o700 or path.is_symlink():
        raise ConfigurationError(f"RUN_DIR={str(path)!r}: it must be this user's directory with mode 0700")
    return path
