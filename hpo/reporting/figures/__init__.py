"""Pictures of studies and trials: matplotlib where nothing moves, plotly where a page draws them."""
