"""From recipe to bundle (torch): the loop, augmentation, checkpoints, the exported engine."""
