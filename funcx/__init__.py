"""The documented import names of funcX: re-exports, nothing else."""
