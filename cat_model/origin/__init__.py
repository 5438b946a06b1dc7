"""Where a bundle comes from when it is no folder: MLflow's model registry, a Hugging Face repository.

address.py reads what CAT_BUNDLE says; base.py says what an origin is; mlflow_registry.py and hub.py ask, and
download by transfer.py; follow.py keeps a folder as its origin is.
"""
