"""HTTP and topics to handlers. Decides nothing."""
