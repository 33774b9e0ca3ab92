"""`python -m cluster.main PORT`: the demo application in one process, for a debugger.

It has a bus of its own in memory, so it neither needs a cluster nor meets one.
"""

from __future__ import annotations

import os
import sys

from .errors import ConfigurationError


def main(arguments: list[str]) -> None:
    if len(arguments) != 1 or not arguments[0].isdecimal() or not 1 <= int(arguments[0]) <= 65535:
        sys.exit("usage: python -m cluster.main PORT  (1 to 65535)")
    os.environ["BUS_URL"] = "memory://main"
    from .logs import configure
    from .settings import load
    from .worker import serve

    try:
        settings = load()
    except ConfigurationError as error:
        sys.exit(str(error))
    configure("api", settings.api_log_level)
    serve(settings, "cluster.app:app", int(arguments[0]))


if __name__ == "__main__":
    main(sys.argv[1:])
