"""The file format of checkpoints: arrays and JSON in a safetensors file, checked, and written as a whole or not at all.

No file knows what an optimizer is.
"""
