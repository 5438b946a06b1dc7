"""What is measured, and never asserted on time: `python -m benchmarks.latency` and its like."""
