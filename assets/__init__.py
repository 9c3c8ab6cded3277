"""What exists: one module per stage of the pipeline. When and where it runs is decided above, how it is done below."""
