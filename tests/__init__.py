"""All tests; the folders mirror those of the code. `python3 -m tests` sets everything up and runs them."""
