"""What thumbnails of many cameras show: motion, lighting, tampering; and how the cameras are."""
