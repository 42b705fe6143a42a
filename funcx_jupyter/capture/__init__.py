"""What a cell needs from the notebook: which names it reads, and their values."""
