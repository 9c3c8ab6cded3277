"""LatentSync: lips re-drawn by a latent diffusion model that listens."""
