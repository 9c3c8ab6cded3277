"""Text fakes: subtitles that say what nobody said, while picture and sound stay as they are."""
