"""The stages from feedback to a published model as one list, and thin adapters to engines that run them."""
