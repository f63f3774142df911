"""When to refer instead of answering: an input gate, novelty, prediction sets, and their order.

Here are NumPy arrays alone; who runs the network and who writes the bundle stand above.
"""

from hilum.abstention.policy import REASONS, Policy, Refused

__all__ = ["REASONS", "Policy", "Refused"]
