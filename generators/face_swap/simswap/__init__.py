"""SimSwap: a network that gives a face another identity and leaves pose, expression and light as they are."""
