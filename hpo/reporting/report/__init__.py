"""A study as a page to share: its text, its pictures, its layout (``templates/``)."""
