"""A model in our hands: loading, methods, the loss and its gradients, and the BLAS under them."""
