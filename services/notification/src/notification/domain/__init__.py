"""What notification decides, as plain functions over plain values."""
