"""Writing the database: tables, views, migrations, transactions."""
