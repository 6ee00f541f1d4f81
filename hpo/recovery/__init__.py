"""What makes a stopped or killed worker harmless."""
