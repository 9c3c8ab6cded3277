"""Speech: a voice that says something else."""
