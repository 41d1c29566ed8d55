"""Damages valid files of every format that corpora are built from."""
