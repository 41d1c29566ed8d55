"""Published models as folders without weights; `folders` makes them."""
