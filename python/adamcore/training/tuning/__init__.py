"""`tune`: the best numbers of a rule for a problem."""
