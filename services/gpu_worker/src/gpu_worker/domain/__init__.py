"""What a worker decides and says of itself, as plain functions over plain values."""
