"""The system that a run plays on, with its monitoring: started here, or found running; and the programs for it."""
