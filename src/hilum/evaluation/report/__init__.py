"""Reports: an evaluation as files that people read.

Figures are computed in `hilum.evaluation`; axes are drawn in `plots`.
"""

from hilum.evaluation.report.facts import Facts, installed_versions
from hilum.evaluation.report.files import write_report
from hilum.evaluation.report.referral import referral_blocks, referral_supplement
from hilum.evaluation.report.supplement import Supplement

__all__ = [
    "Facts",
    "Supplement",
    "installed_versions",
    "referral_blocks",
    "referral_supplement",
    "write_report",
]
