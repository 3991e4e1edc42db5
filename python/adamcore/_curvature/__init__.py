"""Curvature of a loss: Lanczos' method on differences of gradients, and trial steps. It puts all weights back."""
