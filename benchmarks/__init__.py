"""What is measured, and never asserted on time: `python -m benchmarks.latency` and its like.

_command_line.py, _server.py and _process.py hold what they share.
"""
