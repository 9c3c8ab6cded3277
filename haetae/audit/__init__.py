"""Following what is in the lake back to where it came from, and forward to what was made of it."""
