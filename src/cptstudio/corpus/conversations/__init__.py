"""Conversations as a kind of corpus: their canonical form, and the forms they are read from."""
