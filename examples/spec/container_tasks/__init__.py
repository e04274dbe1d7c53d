"""Two containers that each compute the area of an ellipse, in a language of their own."""
