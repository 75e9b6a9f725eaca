"""A small shop as many have one: an API, workers on a queue, a database, a payment service that others run."""
