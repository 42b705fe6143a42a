"""One process that runs one task at a time: `process` is the loop, `run` one task, `capture` what the task shows meanwhile."""
