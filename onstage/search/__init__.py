"""The local twin of the clouds' tuning services: Optuna draws, `train.py` trains, a journal on disk remembers."""
