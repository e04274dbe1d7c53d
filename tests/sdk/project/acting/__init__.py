"""Tasks of actor environments, which only union can declare; registered by the tests that run them."""
