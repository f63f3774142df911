"""Networks (torch): backbones, the classifier on top, and what it is fitted with."""
