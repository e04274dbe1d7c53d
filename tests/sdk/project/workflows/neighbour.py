"""A module that another one imports, both from the same archive."""

PLACE = __file__
