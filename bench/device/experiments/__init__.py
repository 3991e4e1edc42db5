"""Experiments that decide what the CUDA engine does: one binary (build.sh) and the table of what it found."""
