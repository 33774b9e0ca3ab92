"""`python -m cluster` is the `cluster` command."""

from .cli import main

main()
