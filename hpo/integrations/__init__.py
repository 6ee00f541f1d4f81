"""The babysitter where others already have a place for it: a plain loop, Lightning, transformers."""
