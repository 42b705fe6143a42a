"""Containers around workers: which kind a task needs, and how each runtime is told."""
