"""From predictions to figures a statistician and a clinician would both sign.

How predictions are made is left to `hilum.predict`; pictures and pages, to `plots` and `report`.
"""

from hilum.evaluation.evaluating import Deployment, evaluate
from hilum.evaluation.evaluation import Evaluation
from hilum.evaluation.predictions import Predictions

__all__ = ["Deployment", "Evaluation", "Predictions", "evaluate"]
