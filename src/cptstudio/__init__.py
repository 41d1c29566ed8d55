"""CPT Studio: continued pre-training and testing of MLX language models, on your own machine."""

__version__ = "0.2.0"
