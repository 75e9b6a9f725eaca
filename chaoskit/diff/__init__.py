"""Compare two configurations by what receivers get: which notices, when, in which words. Pure."""
