"""Publishing a model on the hub: what would leave the machine is shown before it does."""
