"""Data sets of the hub as a source of corpora: found, looked into, fetched at a commit."""
