"""What there is on this node and in its block, found by looking; and who of its workers gets which part of it."""
