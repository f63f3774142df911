"""Phrases: numbers and estimates as a reader expects them, the same on page and in Markdown.

What figures are called stands in `words`.
"""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Decimal

from hilum.estimates import Estimate

NBSP, MINUS, DASH = "\N{NO-BREAK SPACE}", "\N{MINUS SIGN}", "\N{EN DASH}"
PERCENT = f"{NBSP}%"

# Shares of images are read in per cent; everything else as the number it is.
SHARES = frozenset(
    {
        "accuracy",
        "sensitivity",
        "specificity",
        "ppv",
        "npv",
        "precision",
        "recall",
        "balanced_accuracy",
        "coverage",
        "coverage_absent",
        "coverage_present",
        "decided",
        "referred",
        "none",
        "error_when_decided",
        "false_negative_rate",
        "false_positive_rate",
    }
)


def fixed(number: float, digits: int) -> str:
    """A number to so many decimals, halves away from zero, as the page's own script rounds."""
    step = Decimal(1).scaleb(-digits)
    text = f"{Decimal(number).quantize(step, ROUND_HALF_UP):,f}"
    # What rounds to nothing has no sign.
    return text.replace("-", MINUS if any(c in "123456789" for c in text) else "")


def percent(share: float, digits: int | None = None) -> str:
    """`98.5 %`; with as many decimals as `decimals` asks for where none are given."""
    return fixed(100 * share, decimals(share) if digits is None else digits) + PERCENT


def decimals(*shares: float) -> int:
    """How many decimals of a per cent keep shares near 0 and 1 from rounding there: 1 to 3."""
    rest = min((min(abs(s), abs(1 - s)) for s in shares if s not in (0, 1)), default=1.0)
    return 1 if rest >= 0.0005 else 2 if rest >= 0.00005 else 3


def per_1000(share: float) -> str:
    """How many of a thousand, `615`, or `9.6` where they are few."""
    number = 1000 * share
    return fixed(number, 0 if number >= 9.95 else 1)


def short_percent(share: float) -> str:
    """A share to three digits: `0.1 %`, `62.5 %`."""
    return f"{100 * share:.3g}{PERCENT}"


def ratio(number: float) -> str:
    """A likelihood ratio to about three digits."""
    return fixed(number, 0 if number >= 100 else 1 if number >= 10 else 2 if number >= 1 else 3)


def threshold_words(threshold: float) -> str:
    """Four decimals, or seven for a threshold near 0 or 1."""
    return fixed(threshold, 4 if 0.001 <= threshold <= 0.999 or threshold in (0, 1) else 7)


def value(name: str, number: float, digits: int | None = None) -> str:
    """A figure's number: per cent for shares, three decimals otherwise."""
    if name in SHARES:
        return percent(number, digits)
    if name.startswith("lr_"):
        return ratio(number)
    return fixed(number, 3)


def limits(name: str, estimate: Estimate) -> str:
    """`96.7 to 99.3`, or why there is no interval."""
    if estimate.low is None or estimate.high is None:
        return f"no interval: {estimate.reason}"
    digits = _decimals(estimate)
    low, high = (value(name, limit, digits) for limit in (estimate.low, estimate.high))
    return f"{low.removesuffix(PERCENT)}{NBSP}to{NBSP}{high.removesuffix(PERCENT)}"


def _decimals(found: Estimate) -> int:
    return decimals(*(n for n in (found.value, found.low, found.high) if n is not None))


def estimate(name: str, found: Estimate) -> str:
    """`98.5 % (96.7 to 99.3)`, or why there is no figure or no interval."""
    if found.value is None:
        return f"not given: {found.reason}"
    return f"{value(name, found.value, _decimals(found))} ({limits(name, found)})"


def cell(name: str, found: Estimate | None) -> str:
    """As `estimate`, for a table: the bare reason, or a dash for a figure that is not there."""
    if found is None:
        return DASH
    return found.reason or DASH if found.value is None else estimate(name, found)


def difference(name: str, found: Estimate) -> str:
    """A difference of two such figures: `1.3 points (−2.0 to 4.6)` where they are shares."""
    said = cell(name, found)
    return said if found.value is None else said.replace(PERCENT, f"{NBSP}points", 1)


def in_sentence(finding: str) -> str:
    """A finding's name within a sentence: `pleural effusion`, but `COPD`; `the finding` where it
    has no name of its own."""
    if unnamed(finding):
        return "the finding"
    return " ".join(
        word.lower() if sum(map(str.isupper, word)) < 2 else word for word in finding.split()
    )


def unnamed(finding: str) -> bool:
    """Whether the finding is just called that, as one of nameless columns is."""
    return finding.lower() == "finding"


def class_names(finding: str) -> tuple[str, str]:
    """What the class without and the class with the finding are called."""
    if unnamed(finding):
        return "without it", "with it"
    return f"no {in_sentence(finding)}", in_sentence(finding)


def plural(count: int, one: str, many: str | None = None) -> str:
    """`1 image`, `624 images`."""
    return f"{count:,}{NBSP}{one if count == 1 else many or one + 's'}"


def capital(sentence: str) -> str:
    """The first letter in upper case, the others as they are."""
    return sentence[:1].upper() + sentence[1:]


def whole_sentence(words: str) -> str:
    """With a capital letter and a full stop, as a sentence has them."""
    return capital(words.strip().rstrip(".")) + "."


def signs(words: str) -> str:
    """A rule in words, `≥` for `>=` and `≤` for `<=`."""
    return words.replace(">=", "\N{GREATER-THAN OR EQUAL TO}").replace(
        "<=", "\N{LESS-THAN OR EQUAL TO}"
    )


def listed(names: list[str]) -> str:
    """`a`, `a and b`, `a, b and c`."""
    return " and ".join([", ".join(names[:-1]), names[-1]]) if len(names) > 1 else "".join(names)
