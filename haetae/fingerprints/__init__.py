"""Finding the same clip again: hashes of its pictures and its sound, and how two clips are compared."""
