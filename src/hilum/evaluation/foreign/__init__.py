"""Anybody's predictions: a CSV or Parquet file of any framework, read in bounded memory.

What they are worth is the rest of `evaluation`'s business.
"""

from hilum.evaluation.foreign.headers import Headers
from hilum.evaluation.foreign.reading import ForeignPredictions, read_foreign

__all__ = ["ForeignPredictions", "Headers", "read_foreign"]
