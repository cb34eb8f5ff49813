"""HTTP and WebSocket: routes, the socket hub, the security gate. JSON in, JSON out; nothing here imports torch."""
