"""What published clients read and send where it differs from our own: recognised, translated, and nothing else."""
