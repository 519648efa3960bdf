"""Evidence: the bytes in files named by their SHA-256, what they are in `evidence.db`."""
