"""Checks of arguments, and the wording of their messages. Nothing here knows what an optimizer is."""
