"""The comparison of optimizers, and its report."""
