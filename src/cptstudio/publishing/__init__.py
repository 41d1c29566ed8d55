"""Publishing a model on the hub: what would leave the machine is shown first, then no more leaves."""
