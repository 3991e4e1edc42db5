"""The detectors of `Monitor`: they see numbers and return signals, of which `signals.py` makes findings."""
