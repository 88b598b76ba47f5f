"""Fine-tuning, evaluation and export of `stance` bundles (needs the `train` extra)."""
