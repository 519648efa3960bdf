"""How data comes in: MQTT, decoding to columns, files.

Everything that arrives from outside is judged here for form alone (is it JSON, is it 28 bytes, whose is
it); whether a value is possible is the business of `analytics`.
"""
