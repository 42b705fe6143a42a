"""How parameter studies look in a notebook: a progress bar and plots, brought up to date in place. The study itself is `funcx.grid`."""
