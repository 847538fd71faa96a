"""What the pictures show, in plain NumPy: paths, rates and noise, each held to theory by a test."""
