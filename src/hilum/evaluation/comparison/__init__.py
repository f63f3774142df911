"""Two classifiers on the same images: paired differences, tests, and what could have been seen.

What one classifier is worth is the rest of `evaluation`'s business.
"""

from hilum.evaluation.comparison.comparing import compare
from hilum.evaluation.comparison.results import Comparison

__all__ = ["Comparison", "compare"]
