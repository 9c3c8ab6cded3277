"""What people look at: the report page and the preview pictures of assets.

Nothing is computed, decided or stored here that another package could need.
"""
