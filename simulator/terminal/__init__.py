"""A terminal of JT/T 808, JT/T 905 or GT06 for tests, and a fleet of them for load; it knows nothing of the gateway."""
