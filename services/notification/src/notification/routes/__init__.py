"""HTTP and WebSocket to handlers. Decides nothing."""
