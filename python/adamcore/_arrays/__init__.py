"""Arrays of any library: where they live, how users pass them, and their update without an optimizer."""
