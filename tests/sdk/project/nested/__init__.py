"""Workflows with nodes inside nodes."""
