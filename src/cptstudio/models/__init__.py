"""Base models: what is on this machine, and how to get others. Nothing here loads MLX."""
