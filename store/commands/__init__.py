"""Commands to devices, kept in one file."""
