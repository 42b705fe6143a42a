"""A kernel's connection to the service, its endpoints and its tasks."""
