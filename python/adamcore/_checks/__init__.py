"""Checks of what users pass, and the words of their messages; nothing here knows optimizers."""
