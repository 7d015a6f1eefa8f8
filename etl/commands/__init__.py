"""What people ask and change: a module for each command, and the screen that all of them print on."""
