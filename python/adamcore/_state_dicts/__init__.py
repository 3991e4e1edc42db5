"""State dicts: what an optimizer saves, and how it loads it again."""
