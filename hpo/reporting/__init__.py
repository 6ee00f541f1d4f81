"""What people look at: the dashboard, pictures, reports."""
