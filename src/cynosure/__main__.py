"""`python -m cynosure` is the command `cynosure`."""

from cynosure.cli import main

if __name__ == "__main__":
    main()
