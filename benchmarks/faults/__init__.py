"""Faults for the keeper of runs: what is hit, and what must hold afterwards."""
