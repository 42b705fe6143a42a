"""funcX in notebooks: the `%%funcx` cell magic and its library twins. Importing it needs no IPython."""
