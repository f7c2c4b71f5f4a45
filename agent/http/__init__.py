"""What the agent tells of itself over HTTP, and how `dockferry health` asks for it."""
