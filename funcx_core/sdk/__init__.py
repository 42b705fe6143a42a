"""What notebooks and scripts use: client, executor, futures and the stream below them."""
