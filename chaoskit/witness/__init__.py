"""The witness: an endpoint beside the receivers of an Alertmanager that runs already, which hears what they hear."""
