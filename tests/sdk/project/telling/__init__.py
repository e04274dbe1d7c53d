"""Workflows of whose end somebody is to be told."""
