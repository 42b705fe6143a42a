"""The systems that are measured, each as a context that gives a `concurrent.futures.Executor` with two workers."""
