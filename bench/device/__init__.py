"""The benchmark on a GPU: peers, limits, protocol, tables."""
