"""What scheduling does when it hears something, and when time has passed."""
