"""Results for coroutines, under their documented names."""
