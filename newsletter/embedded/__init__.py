"""What one machine runs by itself: a Valkey server from a wheel, and the processes of `up` and `demo`."""
