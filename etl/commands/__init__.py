"""What people ask and set up: one module for each command, and what several commands print alike."""
