"""Which fences a point is in."""
