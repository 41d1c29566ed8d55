"""The web interface: HTTP and Socket.IO over the rooms below; it never imports MLX."""
