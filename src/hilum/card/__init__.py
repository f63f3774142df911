"""The model card: what a bundle is, what is known of it, and what is not, as Markdown.

Figures are made by the verbs that evaluate; here they are read, set out and written down.
"""

from hilum.card.front_matter import without_front_matter
from hilum.card.reading import read_evaluation, read_results
from hilum.card.results import Results
from hilum.card.writing import card_text, first_card, write_card

__all__ = [
    "Results",
    "card_text",
    "first_card",
    "read_evaluation",
    "read_results",
    "without_front_matter",
    "write_card",
]
