"""Pictures of studies and trials: static ones by Matplotlib, interactive ones by plotly."""
