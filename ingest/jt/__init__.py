"""What JT/T 808 and JT/T 905 share: frames, and positions as columns."""
