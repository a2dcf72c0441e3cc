"""What storage does: take in results and uploads, and give files out."""
