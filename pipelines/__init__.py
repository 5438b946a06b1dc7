"""Work on many photos and on the stages of a model's life: one command each, for whatever engine runs it."""
