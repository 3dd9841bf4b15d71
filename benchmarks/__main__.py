"""`python -m benchmarks`, from the repository's root."""

from benchmarks.run import main

if __name__ == "__main__":
    main()
