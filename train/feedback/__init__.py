"""Learning from people's feedback, and what it says of the model that is served."""
