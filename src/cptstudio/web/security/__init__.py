"""Who may come in: the outermost layer, in front of Flask and Socket.IO alike."""
