"""Media files: probing, reading, writing, cutting and fetching them.

What is seen or said in them is not known here.
"""
