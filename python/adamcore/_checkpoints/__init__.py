"""Checkpoints of optimizers and of what belongs to them: `save`, `load` and `Checkpoints`.

No file depends on the class `Optimizer`.
"""
