"""Face swap by diffusion: a face painted anew by Stable Diffusion inpainting, conditioned on a donor's identity."""
