"""Whether a system that runs already can be tested: all that a run would rely on is looked at."""
