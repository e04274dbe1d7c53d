"""The hands of the SDK tests: a server to start and kill, the command lines, and raw calls."""
