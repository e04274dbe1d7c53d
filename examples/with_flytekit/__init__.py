"""The examples with flytekit alone."""
