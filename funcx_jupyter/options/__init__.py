"""What is written after `%%funcx` and `%funcx`: what may stand there, how it is read, what does not go together. Pure."""
