"""Worker processes: started, supervised, and the loop that they run."""
