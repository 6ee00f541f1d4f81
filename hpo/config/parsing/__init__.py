"""A study file from text to a StudySpec: every mistake is reported with its line."""
