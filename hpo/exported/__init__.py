"""A trained network as a folder that needs no database: written, read, and used on new images."""
