"""Point clouds without atoms: which shape, and which hand."""
