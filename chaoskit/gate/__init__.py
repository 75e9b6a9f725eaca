"""Many scenarios, one answer: may this be released? Selecting, scheduling, running side by side, coverage."""
