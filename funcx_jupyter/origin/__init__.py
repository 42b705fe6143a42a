"""What is known of where a cell comes from when it is sent, and where it ran."""
