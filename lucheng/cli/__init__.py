"""The command line: arguments in, one operation, words or JSON out. No rule of the house lives here."""
