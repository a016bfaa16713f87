"""The routes of /v1, /v2, /health and /metrics."""
