"""The rules: one module each, data in, events out. `table.py` lists them all."""
