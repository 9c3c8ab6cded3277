"""The embedded sample: short talking clips of made-up people, rendered from one public-domain portrait.

What the graph makes of them is not known here.
"""
