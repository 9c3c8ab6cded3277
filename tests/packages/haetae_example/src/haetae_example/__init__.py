"""An example of a generator that somebody else ships."""
