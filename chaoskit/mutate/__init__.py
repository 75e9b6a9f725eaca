"""`mutate`: harmful changes of an alert configuration, to see which proof notices them."""
