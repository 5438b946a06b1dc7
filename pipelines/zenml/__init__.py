"""The pipeline in ZenML; in an environment of its own."""

import os

# ZenML reads it when it is imported, and would report each run to its makers.
os.environ.setdefault("ZENML_ANALYTICS_OPT_IN", "false")
