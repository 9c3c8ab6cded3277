"""Faces: finding, following, meshing, measuring, warping and blending them, as plain functions on arrays.

What is done with a face (a fake, a label, a score) is not decided here.
"""
