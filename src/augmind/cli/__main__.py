"""`python -m augmind.cli`."""

from . import main

main()
