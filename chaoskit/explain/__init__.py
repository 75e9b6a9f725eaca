"""What a configuration means for people: who hears of an alert, when, and what keeps them from it. Pure."""
