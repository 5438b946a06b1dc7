"""The stages of a model as one list, adapters to engines that run them, and scoring of very many photos."""
