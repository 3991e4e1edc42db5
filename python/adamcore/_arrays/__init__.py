"""Arrays of any library: their memory, the structures users pass them in, updates of them without an optimizer."""
