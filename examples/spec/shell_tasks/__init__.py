"""Three shell tasks in a row, with files and folders between them."""
