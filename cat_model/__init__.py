"""Run time: what the app needs to answer. Nothing here imports tensorflow, mlflow, train or export.

import cat_model
predictor = cat_model.load()
print(predictor.predict("photo.jpg").probability)
"""

from cat_model.bundle import Bundle, BundleError
from cat_model.explain import Explanation
from cat_model.photo import PhotoError
from cat_model.predictor import Predictor, load
from cat_model.verdict import Verdict

__version__ = "0.1.0"

__all__ = ["Bundle", "BundleError", "Explanation", "PhotoError", "Predictor", "Verdict", "load"]
