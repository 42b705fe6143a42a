"""How tasks look in a notebook: the header line, output in order, tracebacks."""
