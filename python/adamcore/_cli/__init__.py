"""The commands of ``python -m adamcore``. ``import adamcore`` does not import them."""
