"""Mail as bytes: emails as data, rendering, composing, transports."""
