"""`escape.Policy`: when to act, in which order, and whether it helped."""
