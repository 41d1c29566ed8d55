"""Directions of continued pre-training that a small model reproduces; see docs/science.md."""
