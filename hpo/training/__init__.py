"""Training one network; knows no database, no Optuna, no command line."""
