"""Results for people: dashboard, pictures, reports, Prometheus metrics, ``hpo doctor``."""
