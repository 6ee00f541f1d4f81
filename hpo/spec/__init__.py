"""What is asked for: configurations, spaces and study files."""
