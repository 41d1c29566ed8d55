"""Models out: what is exported, and what its comparison says."""
