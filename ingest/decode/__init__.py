"""From messages to columns: whose is it, is it what it says, and nothing of a neighbour's is lost.

`decoder.Decoder` is the way in. Whether a value is possible is the business of `analytics`.
"""
