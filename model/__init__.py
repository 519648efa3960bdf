"""The nouns and their pure rules; everything else in the house meets here.

Imports NumPy and the standard library only, reads no clock, opens no file.
"""
