"""Checks of arguments and the texts of their messages. Nothing here depends on optimizers."""
