"""Set by its owner."""
