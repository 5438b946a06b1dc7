"""Offline: a trained run becomes a measured, gated int8 bundle. May import train and cat_model."""
