"""Scores very many photos: `python -m pipelines.score IN OUT`; docs/scoring.md says how.

places.py knows folders and buckets, sources.py lists keys, shards.py cuts them, scorer.py answers for a
shard, results.py keeps the answers; driver.py hands out shards to the workers of local.py or ray_engine.py.
"""
