"""The tests, in folders that mirror ``course/``; ``python -m tests all`` runs them with everything else."""
