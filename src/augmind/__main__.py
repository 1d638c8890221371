"""`python -m augmind`."""

from augmind.cli import main

main()
