"""Solutions to notebooks: the generator, the learner's folder, and the checks that keep both honest."""


class AuthoringError(Exception):
    """Something the person at the keyboard can mend; its message is one clear line."""
