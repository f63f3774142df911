"""Subgroups: whether a classifier serves some patients worse than others.

Figures of all images are the rest of `evaluation`'s business.
"""

from hilum.evaluation.subgroups.breakdown import differences_in_words, subgroupings
from hilum.evaluation.subgroups.grouping import GroupBy, default_groups, left_out_in_words

__all__ = ["GroupBy", "default_groups", "differences_in_words", "left_out_in_words", "subgroupings"]
