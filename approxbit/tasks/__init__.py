"""What an answer means: its names, how it is scored and how it is shown."""
