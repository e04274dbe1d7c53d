"""Random workflows: made by a seed, written as a module of flytekit, run in several ways, and made smaller when the ways differ."""
