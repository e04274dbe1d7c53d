"""The examples through `import union`."""
