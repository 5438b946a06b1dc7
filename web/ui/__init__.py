"""The page: one file a part of it."""
