"""The command ``course``."""


def main() -> int:
    """Run the command."""
    return 0
