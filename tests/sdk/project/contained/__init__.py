"""Container tasks, which know nothing of the SDK; registered by the tests that run them."""
