"""Reports: an evaluation as files that people read.

Figures are computed in `hilum.evaluation`; axes are drawn in `plots`.
"""

from hilum.evaluation.report.classic import write_classic_report

__all__ = ["write_classic_report"]
