"""Defaults of `%%funcx`: what can be set, where it is looked up, and how it is saved. Nothing else reads those files."""
