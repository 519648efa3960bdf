"""Accounts, their sessions, and answers that may be asked for again; two files of their own."""
