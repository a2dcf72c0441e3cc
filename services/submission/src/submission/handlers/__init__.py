"""What submission does when it is asked or told something."""
