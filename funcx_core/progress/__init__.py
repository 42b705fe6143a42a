"""Bars of the code that runs here: gathered on a `Board`, told to whoever watches. `bar.progress` is for users."""
