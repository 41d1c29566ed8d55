"""Chat habits lost by continued pre-training and brought back: see `__main__`."""
