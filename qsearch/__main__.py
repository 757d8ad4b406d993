"""`python -m qsearch`: the same as `qsearch`."""

from qsearch.cli.main import main

if __name__ == "__main__":
    main()
