"""Silicon from DFT frames to its properties as a crystal."""
