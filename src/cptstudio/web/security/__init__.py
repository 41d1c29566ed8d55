"""Access control: the outermost layer, in front of Flask and Socket.IO alike."""
