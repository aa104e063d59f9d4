"""`python -m approxbit`: the same as the command `approxbit`."""

from approxbit.cli import main

if __name__ == "__main__":
    main()
