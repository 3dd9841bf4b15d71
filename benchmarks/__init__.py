"""The project's benchmark: Cynosure and its peers, timed in turn in one run. See README.md."""
