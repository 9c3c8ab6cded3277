"""Speech: making it, finding it, timing its words, measuring it against a mouth.

Which fakes are made of it, and what a sentence should say, is not decided here.
"""
