"""The worker process: runs one attempt after another on its device and tells the server, in frames, how it goes."""
