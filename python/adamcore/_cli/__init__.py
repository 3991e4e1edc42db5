"""What ``python -m adamcore`` runs; ``import adamcore`` imports none of it."""
