"""Who trains which slot, and until when."""
