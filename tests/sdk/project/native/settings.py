"""Where the programs' tasks are registered."""

PLACE = {"project": "flytesnacks", "domain": "development", "version": "v1"}
