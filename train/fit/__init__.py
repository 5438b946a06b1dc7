"""Fitting: batches, head, fine-tuning."""
