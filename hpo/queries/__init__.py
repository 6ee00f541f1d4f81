"""Reading the database: the SQL behind commands, reports and frames."""
