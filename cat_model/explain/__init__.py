"""Explanations: which parts of a photo spoke for a cat and which against.

api.py has the two depths; grid.py the squares that get values; owen.py and ordering.py the full depth;
render.py what is drawn and said of it.
"""

from cat_model.explain.api import LEAST_BUDGET, Explanation

__all__ = ["LEAST_BUDGET", "Explanation"]
