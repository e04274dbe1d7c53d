"""Workflows of the tests, registered once with the real command line."""
