"""The run that is killed at many moments with a part of every kind."""
