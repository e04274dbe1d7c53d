"""Examples of the user guide, as they stand there."""
