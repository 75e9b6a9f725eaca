"""What a change of configuration means for people: who hears of what differently. Pure."""
