"""Words: what a figure is called where people read it; one table for page, text and checklist.

What a figure means and how it is computed is left to `methods`.
"""

from __future__ import annotations

FIGURE_WORDS = {
    "auroc": "AUROC",
    "partial_auroc": "partial AUROC, specificity ≥ 0.9",
    "average_precision": "average precision",
    "sensitivity_at_specificity_90": "sensitivity at specificity 0.90",
    "sensitivity_at_specificity_95": "sensitivity at specificity 0.95",
    "specificity_at_sensitivity_90": "specificity at sensitivity 0.90",
    "specificity_at_sensitivity_95": "specificity at sensitivity 0.95",
    "brier": "Brier score",
    "brier_reliability": "Brier: miscalibration",
    "brier_resolution": "Brier: resolution",
    "brier_uncertainty": "Brier: uncertainty of the label",
    "brier_uncalibrated": "Brier score, uncalibrated",
    "log_loss": "log loss",
    "log_loss_uncalibrated": "log loss, uncalibrated",
    "ece": "calibration error (ECE)",
    "ece_equal_width": "ECE, equal-width bins (biased upward)",
    "ece_uncalibrated": "calibration error (ECE), uncalibrated",
    "ici": "integrated calibration index (ICI)",
    "calibration_intercept": "calibration intercept (0 is right)",
    "calibration_slope": "calibration slope (1 is right)",
    "augrc": "selective risk (AUGRC)",
}

POINT_WORDS = {
    "accuracy": "accuracy",
    "sensitivity": "sensitivity",
    "specificity": "specificity",
    "ppv": "PPV",
    "npv": "NPV",
    "lr_positive": "LR+",
    "lr_negative": "LR−",
    "f1": "F1",
    "balanced_accuracy": "balanced accuracy",
    "mcc": "Matthews correlation (MCC)",
    "net_benefit": "net benefit",
}

CLASS_WORDS = {"precision": "precision", "recall": "recall", "f1": "F1"}

GROUP_WORDS = {
    "false_negative_rate": "false-negative rate",
    "false_positive_rate": "false-positive rate",
}

SET_WORDS = {
    "coverage": "coverage",
    "coverage_absent": "coverage where the finding is absent",
    "coverage_present": "coverage where the finding is present",
    "decided": "answered: one class in the set",
    "referred": "both classes in the set",
    "none": "none: neither is likely enough",
    "error_when_decided": "error among those answered",
    "mean_size": "mean size of the set",
    "mean_size_absent": "mean size where the finding is absent",
    "mean_size_present": "mean size where the finding is present",
}

_WORDS = {**FIGURE_WORDS, **POINT_WORDS, **CLASS_WORDS, **GROUP_WORDS, **SET_WORDS}


def words(name: str) -> str:
    """What the figure `name` is called in a report; a name not in the tables, with spaces."""
    return _WORDS.get(name, name.replace("_", " "))
