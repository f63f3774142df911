"""Referral: of right and wrong answers, how many are given and how many handed on.

The counts are made in `hilum.evaluation.referral`.
"""

from __future__ import annotations

from collections.abc import Mapping

from matplotlib.axes import Axes

from hilum.evaluation.plots.style import ABSENT, INK, MUTED, PAPER, restrain

_ANSWERED = "answered"
_SHADES = (MUTED, "#b9b3a8", "#dcd7cd", "#efece6")  # why it is referred, in the order given


def draw_referrals(
    kinds: Mapping[str, Mapping[str, int]], share: Mapping[str, Mapping[str, float]], ax: Axes
) -> Axes:
    """A bar a kind of answer: the part that is given, then what is referred by reason.

    kinds: kind -> reason, "" where answered -> images; share: the same as shares of the kind
    """
    reasons = list(dict.fromkeys(reason for held in kinds.values() for reason in held))
    rows = list(kinds)
    left = [0.0] * len(rows)
    colours = iter(_SHADES)
    for reason in sorted(reasons):
        width = [share[kind].get(reason, 0.0) for kind in rows]
        colour = ABSENT if reason == "" else next(colours, _SHADES[-1])
        ax.barh(
            range(len(rows)), width, left=left, color=colour, height=0.62, edgecolor=PAPER,
            label=reason or _ANSWERED,
        )  # fmt: skip
        for row, kind in enumerate(rows):
            if width[row] >= 0.06:
                ax.text(
                    left[row] + width[row] / 2, row, f"{kinds[kind].get(reason, 0):,}",
                    ha="center", va="center", fontsize=8.5,
                    color=PAPER if reason == "" or colour == MUTED else INK,
                )  # fmt: skip
        left = [at + by for at, by in zip(left, width, strict=True)]
    ax.set_yticks(range(len(rows)), [f"{kind} ({sum(kinds[kind].values()):,})" for kind in rows])
    ax.invert_yaxis()
    ax.set(xlim=(0, 1), xlabel="Share of the images")
    ax.legend(
        loc="lower left", bbox_to_anchor=(0, 1.0), ncols=4, frameon=False, fontsize=8.5,
        borderaxespad=0.2,
    )  # fmt: skip
    restrain(ax)
    return ax
