"""Three videos and what tests ask about them."""

ROWS = (
    ("a", "who is waving?", "man"),
    ("a", "what is it?", "dog"),
    ("b", "is it waving?", "no"),
    ("b", "who is it?", "someone"),
    ("c", "what is waving?", "man"),
)
"""Video, question and answer."""
