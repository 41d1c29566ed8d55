"""`python -m cptstudio.cli`, for where the console script is not on the path."""

from cptstudio.cli import main

main()
