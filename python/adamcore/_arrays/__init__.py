"""Arrays of any library: where they live, the structures they come in, one update of them without an optimizer."""
