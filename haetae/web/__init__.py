"""What people look at: the report page, the gallery of fakes, and the preview pictures of assets.

Nothing is computed, decided or stored here that another package could need.
"""
