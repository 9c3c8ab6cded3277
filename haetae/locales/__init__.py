"""What the pipeline says in each language: sentences for made speech, captions for labels, voice settings.

How a sentence is spoken and where a caption is shown is not known here.
"""

from haetae.locales.load import caption, languages, load
from haetae.locales.schema import Locale, Settings

__all__ = ["Locale", "Settings", "caption", "languages", "load"]
