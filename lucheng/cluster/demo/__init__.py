"""The demo city on three machines: a network for them, their servers and processes, what drives through, and the story told."""
